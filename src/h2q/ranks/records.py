"""What a collection keeps of an item's real row beside its code: a record of fixed width.

A record is opaque to the engine that stores it. Its layout, little-endian:

======== ============ ==========================================================================
keep     bytes        content
======== ============ ==========================================================================
codes    0            nothing
scale    2            float16: the row's scale (see `scales`, `records_of`)
int8     n_bits       the row, scaled so that its largest entry is 127 in absolute value
float16  2 * n_bits   the row, scaled to norm sqrt(n_bits)
======== ============ ==========================================================================

Rows are rotated rows, whose signs are the code. Only their direction is kept: their length means
nothing to a cosine.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.ranks.keeping import KEEPS_OF_ROWS, Keep

_LARGEST_INT8: Final = 127
#: A rebuilt row shorter than this has no direction.
_SHORTEST: Final = 1e-30


def keeps_rows_of(quantizer: Any) -> bool:
    """Whether the rotated rows of a quantizer (or of none) stand for the items' rows."""
    return bool(getattr(quantizer, "codes_are_signs", True))


def keeps_uncentred_rows(quantizer: Any) -> bool:
    """Whether whole rows are kept as `rotate_uncentred` returns them.

    So they are for a quantizer that centres and has a decoder. Quantizers of versions before had
    none, and their collections keep centred rows.
    """
    return keeps_rows_of(quantizer) and getattr(quantizer, "decoder_", None) is not None


def whole_rows(given: Any, rotated: Any, quantizer: Any) -> Any:
    """Return the rows (n, n_bits) that are kept, or compared, whole.

    Parameters
    ----------
    given, rotated : array of shape (n, d) and (n, n_bits)
        Rows before the quantizer rotated them, and after it.
    quantizer : fitted quantizer or None
    """
    if len(given) and keeps_uncentred_rows(quantizer):
        return quantizer.rotate_uncentred(given)
    return rotated


def records_of(
    given: Any, rotated: NDArray[Any], codes: CodeArray, keep: Keep, quantizer: Any
) -> NDArray[np.uint8]:
    """Make the records of rows, with the mean in them where a quantizer centres.

    The scale of a row that was centred is its cosine with the row its code stands for by the
    quantizer's own decoder, both uncentred; without such a decoder it is that of `scales`.

    Parameters
    ----------
    given, rotated : array of shape (n, d) and (n, n_bits)
        Rows before the quantizer rotated them, and after it.
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
    keep, quantizer
        Of the collection.
    """
    if keep in KEEPS_OF_ROWS:
        rotated = np.asarray(whole_rows(given, rotated, quantizer), dtype=np.float32)
    elif keep == "scale" and len(codes) and keeps_uncentred_rows(quantizer):
        decoder = quantizer.decoder_
        rebuilt = decoder.decode(codes).astype(np.float64)
        rows = np.asarray(given, dtype=np.float64)
        rows = rows / np.abs(rows).max(axis=1, keepdims=True)
        cosines: NDArray[np.float64] = (rows * rebuilt).sum(axis=1) / np.sqrt(
            np.square(rows).sum(axis=1)
        )
        cosines /= np.maximum(np.sqrt(np.square(rebuilt).sum(axis=1)), _SHORTEST)
        kept: NDArray[np.uint8] = cosines.astype("<f2")[:, None].view(np.uint8)
        return kept
    return encode_records(rotated, keep)


def record_width(keep: Keep, n_bits: int) -> int:
    """Bytes an item's record takes; 0 where codes alone are kept."""
    return {"codes": 0, "scale": 2, "int8": n_bits, "float16": 2 * n_bits}[keep]


def encode_records(rows: NDArray[Any], keep: Keep) -> NDArray[np.uint8]:
    """Make the records of rotated rows.

    Parameters
    ----------
    rows : ndarray of shape (n, n_bits), real
        Finite, none of them zero.
    keep : {"codes", "scale", "int8", "float16"}

    Returns
    -------
    ndarray of shape (n, record_width(keep, n_bits)), uint8
    """
    if keep == "codes" or not len(rows):
        return np.zeros((len(rows), record_width(keep, rows.shape[1])), dtype=np.uint8)
    # By the largest entry first, so that no square overflows or vanishes.
    unit = rows.astype(np.float64)
    unit /= np.abs(unit).max(axis=1, keepdims=True)
    if keep == "int8":
        return np.rint(unit * _LARGEST_INT8).astype(np.int8).view(np.uint8)
    if keep == "float16":
        unit /= np.sqrt(np.square(unit).mean(axis=1, keepdims=True))
        return unit.astype("<f2").view(np.uint8)
    return _scales_of(unit).astype("<f2")[:, None].view(np.uint8)


def decode_rows(records: NDArray[np.uint8], keep: Keep, n_bits: int) -> NDArray[np.float64]:
    """Return the rows records keep, up to a positive factor each.

    Parameters
    ----------
    records : ndarray of shape (n, record_width(keep, n_bits)), uint8
    keep : {"int8", "float16"}
    n_bits : int

    Returns
    -------
    ndarray of shape (n, n_bits), float64
    """
    if keep not in KEEPS_OF_ROWS:
        raise ValueError(f"records of {keep!r} keep no rows")
    dtype = np.dtype(np.int8 if keep == "int8" else "<f2")
    return np.ascontiguousarray(records).view(dtype).reshape(-1, n_bits).astype(np.float64)


def scales(records: NDArray[np.uint8], keep: Keep, n_bits: int) -> NDArray[np.float64]:
    """Return the scale c of each item: the cosine of its row with its own code as signs.

    c = mean_i abs(z_i) / sqrt(mean_i z_i^2), from 1 / sqrt(n_bits) to 1; 1 is a row of signs.

    Parameters
    ----------
    records : ndarray of shape (n, record_width(keep, n_bits)), uint8
    keep : {"scale", "int8", "float16"}
    n_bits : int

    Returns
    -------
    ndarray of shape (n,), float64
    """
    if keep == "scale":
        return np.ascontiguousarray(records).view("<f2")[:, 0].astype(np.float64)
    return _scales_of(decode_rows(records, keep, n_bits))


def _scales_of(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.abs(rows).mean(axis=1)
    mean /= np.sqrt(np.square(rows).mean(axis=1))
    return mean
