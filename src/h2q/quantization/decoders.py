"""Decoders by name: what the command line and `h2q.ingest` fit beside a quantizer."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from array_api_compat import is_array_api_obj

from h2q._typing import Array, RandomState
from h2q.codes import pack
from h2q.errors import InvalidInputError
from h2q.quantization.arrays import to_numpy
from h2q.quantization.decoding import CodeDecoder
from h2q.quantization.linear_decoding import LinearDecoder

#: By name, the class: "code" answers the rank "decoded", "linear" the rank "linear".
DECODERS: Final[dict[str, type[Any]]] = {"code": CodeDecoder, "linear": LinearDecoder}


def check_decoder_name(name: str) -> str:
    """Return `name` if it is in `DECODERS`, else raise `InvalidInputError`."""
    if name not in DECODERS:
        raise InvalidInputError(f"decoder must be one of {', '.join(DECODERS)}, got {name!r}")
    return name


def decoder_name(decoder: Any) -> str | None:
    """Return the name of a decoder's class; None where it has none."""
    return next((name for name, each in DECODERS.items() if isinstance(decoder, each)), None)


def decoder_of_class(name: str) -> str:
    """Return the name of the decoder of a class, such as "h2q.LinearDecoder"."""
    return next(key for key, each in DECODERS.items() if f"h2q.{each.__name__}" == name)


def suits(name: str, quantizer: Any) -> bool:
    """Whether the codes of a quantizer can have the decoder of this name.

    A `CodeDecoder` is for codes that are the signs of rotated rows.
    """
    return DECODERS[name] is not CodeDecoder or bool(getattr(quantizer, "codes_are_signs", True))


def rows_for_decoder(name: str) -> int:
    """Most rows a decoder of this name learns from; of more it takes a sample."""
    decoder = DECODERS[check_decoder_name(name)]()
    return int(decoder.max_prototypes if name == "code" else decoder.max_samples)


def fit_decoder(
    name: str, rows: Array, quantizer: Any = None, *, random_state: RandomState = None
) -> CodeDecoder | LinearDecoder:
    """Fit the decoder of the codes that a quantizer makes.

    Parameters
    ----------
    name : {"code", "linear"}
    rows : array of shape (n, d)
        Real rows, best those the quantizer was fitted on; rows of zeros are left out.
    quantizer : fitted quantizer, optional
        None: the rows are rotated already, and their signs are the codes.
    random_state : int, Generator, RandomState or None

    Returns
    -------
    CodeDecoder or LinearDecoder

    Raises
    ------
    InvalidInputError
        For an unknown name, rows that cannot be used, or a quantizer whose codes are no signs of
        rotated rows, which has no `CodeDecoder`.

    Examples
    --------
    >>> import numpy as np, h2q
    >>> rows = np.random.default_rng(0).standard_normal((500, 16))
    >>> quantizer = h2q.HouseholderQuantizer(8, random_state=0).fit(rows)
    >>> fit_decoder("code", rows, quantizer, random_state=0).n_bits_
    8
    """
    check_decoder_name(name)
    if not suits(name, quantizer):
        raise InvalidInputError(
            f"the codes of a {type(quantizer).__name__} are no signs of rotated rows, so the "
            "decoder 'code' does not suit it; search by its own rank, or take 'linear'"
        )
    given = np.asarray(rows) if not is_array_api_obj(rows) else to_numpy(rows)
    if given.ndim != 2 or given.dtype.kind not in "biuf":
        raise InvalidInputError(
            f"a decoder is fitted on real rows (n, d), got {given.dtype} of shape {given.shape}"
        )
    given = given[given.any(axis=1)]
    if not len(given):
        raise InvalidInputError("a decoder is fitted on rows, and there are none but zeros")
    if name == "code":
        rotated = given if quantizer is None else to_numpy(quantizer.rotate(given))
        return CodeDecoder(random_state=random_state).fit(rotated)
    codes = pack(given) if quantizer is None else quantizer.transform(given)
    n_bits = int(given.shape[1] if quantizer is None else quantizer.n_bits_)
    return LinearDecoder(random_state=random_state).fit(given, codes, n_bits=n_bits)
