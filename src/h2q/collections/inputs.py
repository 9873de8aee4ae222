"""Check and normalise what a caller hands to a collection, the same for every engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from h2q._typing import Array, CodeArray
from h2q.codes import check_codes, code_width, pack
from h2q.collections.artifacts import Decoder, Quantizer
from h2q.collections.values import listed, plain_payload, plain_scalar, rows_of
from h2q.errors import InvalidInputError
from h2q.ranks import Keep, Queries
from h2q.ranks.records import record_width, records_of

#: Name of an item: kept as given, so `1` and `"1"` are two items.
Id: TypeAlias = str | int
#: Rows the first batch must have for each bit, to fit a quantizer on.
LEAST_ROWS_A_BIT: Final = 2
_INT64: Final = range(-(2**63), 2**63)
#: Embeddings whose signs differ from the codes in more than this share of the bits are others.
_STRANGE_SHARE: Final = 0.25
_ENCODER: Final = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def as_ids(ids: Sequence[Id]) -> list[Id]:
    """Return ids as plain str and int; refuse anything that cannot be kept as given."""
    if isinstance(ids, str | bytes | int):
        raise InvalidInputError(
            f"ids must be a list of ids, got the single {ids!r}; pass [{ids!r}]"
        )
    return [as_id(item_id) for item_id in listed(ids, "ids")]


def as_id(item_id: object) -> Id:
    """Return one id as a plain str or int.

    Raises
    ------
    InvalidInputError
        If it cannot be kept as given.
    """
    plain = plain_scalar(item_id)
    if isinstance(plain, str):
        _check_unicode(plain, f"the id {plain!r}")
        return plain
    if isinstance(plain, int) and not isinstance(plain, bool):
        if plain in _INT64:
            return plain
        raise InvalidInputError(f"the id {plain} does not fit 64 bits; use a str")
    raise InvalidInputError(f"an id is a str or an int, got {item_id!r} ({type(item_id).__name__})")


def as_payloads(payloads: Any, ids: Sequence[Id]) -> list[str | None]:
    """Return payloads as JSON text, one an id: of a list of dicts, or the rows of a data frame."""
    if payloads is None:
        return [None] * len(ids)
    payloads = _records_of(payloads)
    if len(payloads) != len(ids):
        raise InvalidInputError(
            f"{len(ids)} ids but {len(payloads)} payloads; give one payload (or None) an id"
        )
    texts = [_as_json(payload, i) for payload, i in zip(payloads, ids, strict=True)]
    try:
        "".join(text for text in texts if text is not None).encode()
    except UnicodeEncodeError:  # rare: only then is each looked at
        for text, item_id in zip(texts, ids, strict=True):
            _check_unicode(text or "", f"the payload of {item_id!r}")
    return texts


def _records_of(payloads: Any) -> Sequence[Any]:
    """Return the rows of a data frame (pandas, polars, pyarrow) as dicts; anything else as it is.

    A missing value of a frame (NaN, NaT, NA, null) is a key that is not there.
    """
    if isinstance(payloads, Sequence):
        return payloads
    if callable(getattr(payloads, "to_dicts", None)):  # polars
        rows = payloads.to_dicts()
    elif callable(getattr(payloads, "to_pylist", None)):  # pyarrow
        rows = payloads.to_pylist()
    elif hasattr(payloads, "columns") and callable(getattr(payloads, "to_dict", None)):  # pandas
        rows = payloads.to_dict("records")
    else:
        return listed(payloads, "payloads")
    return [
        row
        if not isinstance(row, dict)
        else {key: value for key, value in row.items() if not _is_missing(value)}
        for row in rows
    ]


def _is_missing(value: object) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


def _as_json(payload: object, item_id: Id) -> str | None:
    if payload is None:
        return None
    if not isinstance(payload, Mapping):
        raise InvalidInputError(
            f"the payload of {item_id!r} must be a dict or None, got {type(payload).__name__}"
        )
    try:
        return _ENCODER.encode(plain_payload(payload))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"the payload of {item_id!r} is not valid JSON: {error}; use str, finite numbers, "
            "bool, None, lists and dicts"
        ) from error


def _check_unicode(text: str, name: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{name} is not valid Unicode, so it cannot be stored: {error}; rename it"
        ) from error


def as_coded_ids(ids: Sequence[Id], codes: Array, n_bits: int) -> tuple[list[Id], CodeArray]:
    """Return ids and packed codes, one an id; no ids and no codes, of whatever type, are none."""
    names = as_ids(ids)
    if not names and not len(codes):
        return [], np.empty((0, code_width(n_bits)), dtype=np.uint8)
    packed = check_codes(rows_of(codes), n_bits)
    if len(packed) != len(names):
        raise InvalidInputError(f"{len(names)} ids but {len(packed)} codes; give one code an id")
    return names, packed


def floating(rows: NDArray[Any], them: str = "embeddings") -> NDArray[Any]:
    """Return real rows as they are.

    Raises
    ------
    InvalidInputError
        If they are not floating-point: whole numbers may be bits, codes or pixels.
    """
    if rows.dtype.kind != "f":
        raise InvalidInputError(
            f"{them} are real rows (floating), got {rows.dtype}; convert them by "
            "rows.astype('float32')"
        )
    return rows


def real_rows(given: Array) -> NDArray[Any] | None:
    """Return real rows as numpy; None where they are not real but, perhaps, codes."""
    rows = rows_of(given)
    return rows if rows.dtype.kind == "f" and rows.size else None


def coded(
    rows: NDArray[Any], keep: Keep, n_bits: int, quantizer: Quantizer | None
) -> tuple[CodeArray, NDArray[np.uint8]]:
    """Return the codes and the records of real rows.

    Raises
    ------
    InvalidInputError
        If a row cannot be coded.
    """
    rows = floating(rows)
    rotated = _as_rotated(rows, n_bits, quantizer, "embeddings", "embedding")
    codes = _codes_of(rows, rotated, n_bits, quantizer)
    return codes, records_of(rows, rotated, codes, keep, quantizer)


def as_queries(
    queries: Array, n_bits: int, quantizer: Quantizer | None, decoder: Decoder | None = None
) -> Queries:
    """Tell codes from real rows, and rotate the latter."""
    given = rows_of(queries)
    if given.ndim == 1:
        given = given[None, :]
    if given.dtype == np.uint8:
        return Queries(check_codes(given, n_bits), None)
    if given.dtype.kind != "f":
        raise InvalidInputError(
            f"queries are packed codes (uint8) or real rows (floating), got {given.dtype}; convert "
            "rows by .astype('float32'), codes by .astype('uint8')"
        )
    rows = _as_rotated(given, n_bits, quantizer, "queries", "query")
    codes = _codes_of(given, rows, n_bits, quantizer)
    return Queries(codes, rows, decoder, quantizer, given)


def as_records(
    embeddings: Array | None,
    codes: CodeArray,
    keep: Keep,
    n_bits: int,
    quantizer: Quantizer | None,
) -> NDArray[np.uint8]:
    """Return the records of items to be added, shape (n, record_width(keep, n_bits)), uint8.

    Parameters
    ----------
    embeddings : array of shape (n, d) or None
        Real rows, as queries are given.
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        The items' codes, checked already.
    keep, n_bits, quantizer
        Of the collection.

    Raises
    ------
    InvalidInputError
        If they are missing where the collection keeps something of them, cannot be used, or are
        plainly not the rows the codes were made from.
    """
    if embeddings is None:
        if keep != "codes" and len(codes):
            raise InvalidInputError(
                f"this collection keeps something of each real row (keep={keep!r}); "
                "pass embeddings=, the rows the codes were made from"
            )
        return np.zeros((len(codes), record_width(keep, n_bits)), dtype=np.uint8)
    given = rows_of(embeddings)
    if given.ndim == 2 and len(given) != len(codes):
        raise InvalidInputError(f"{len(codes)} codes but {len(given)} embeddings; give one a code")
    given = floating(given)
    rows = _as_rotated(given, n_bits, quantizer, "embeddings", "embedding")
    # Another device rounds otherwise, so a bit here and there may differ; rows of other items, or
    # rotated otherwise, differ in half of them.
    differing = int(np.bitwise_count(_codes_of(given, rows, n_bits, quantizer) ^ codes).sum())
    if differing > _STRANGE_SHARE * codes.shape[0] * n_bits:
        raise InvalidInputError(
            f"the embeddings do not belong to the codes: {differing} of {len(codes) * n_bits} bits "
            "differ from their signs; pass the rows the codes were made from, in the same order"
            + ("" if quantizer is not None else " and rotated as they were then")
        )
    return records_of(given, rows, codes, keep, quantizer)


def _codes_of(
    given: NDArray[Any], rows: NDArray[np.float32], n_bits: int, quantizer: Quantizer | None
) -> CodeArray:
    """Codes of rows: the signs of the rotated rows, unless the quantizer says otherwise."""
    coded: CodeArray
    if quantizer is None or getattr(quantizer, "codes_are_signs", True) or not len(given):
        coded = pack(rows)
    else:
        coded = check_codes(rows_of(quantizer.transform(given)), n_bits)
    return coded


def check_real(given: NDArray[Any], them: str, one: str) -> None:
    """Refuse rows that are not finite or have no direction."""
    if given.ndim != 2:
        raise InvalidInputError(f"{them} must have shape (n, d), got {given.shape}")
    if not np.isfinite(given).all():
        raise InvalidInputError(f"the {them} hold NaN or infinite values; remove those rows")
    if len(given) and not given.any(axis=1).all():
        article = "an" if one[0] in "aeiou" else "a"
        raise InvalidInputError(
            f"{article} {one} is all zeros and has no direction; remove that row"
        )


def _as_rotated(
    given: NDArray[Any], n_bits: int, quantizer: Quantizer | None, them: str, one: str
) -> NDArray[np.float32]:
    check_real(given, them, one)
    rows = given
    if quantizer is not None and len(given):
        fitted_on = getattr(quantizer, "n_features_in_", given.shape[1])
        if given.shape[1] != fitted_on:
            raise InvalidInputError(
                f"the {them} have {given.shape[1]} columns, and the quantizer of this collection "
                f"was fitted on rows of {fitted_on}; give rows of the same network"
            )
        rows = rows_of(quantizer.rotate(given))
    if rows.shape[1] != n_bits and len(given):
        raise InvalidInputError(
            f"this collection holds {n_bits}-bit codes and no quantizer, so real {them} must be "
            f"rotated rows (n, {n_bits}); got {given.shape}"
        )
    if rows is given and rows.dtype == np.float32 and rows.flags.c_contiguous and len(rows):
        return rows  # checked above
    with np.errstate(over="ignore", under="ignore"):
        ready = np.ascontiguousarray(rows, dtype=np.float32).reshape(-1, n_bits)
    if len(ready) and not (np.isfinite(ready).all() and ready.any(axis=1).all()):
        raise InvalidInputError(
            f"the {them} are too large or too small for float32; scale them to about 1"
        )
    return ready


def check_first_rows(count: int, n_bits: int) -> None:
    """Refuse to fit the quantizer of a new collection on too few rows.

    Raises
    ------
    InvalidInputError
        If there are fewer than `LEAST_ROWS_A_BIT` for each bit.
    """
    least = LEAST_ROWS_A_BIT * n_bits
    if count < least:
        raise InvalidInputError(
            f"the first rows fit the quantizer of this collection, and {count} are too few "
            f"for {n_bits} bits; add at least {least} at once the first time, or a quantizer that "
            "is fitted on more (quantizer=, --quantizer FILE of h2q fit)"
        )


def as_count(value: object, name: str, least: int, most: int | None = None) -> int:
    """Check a whole number such as k or a radius."""
    number = plain_scalar(value)
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise InvalidInputError(f"{name} must be a whole number of at least {least}, got {value!r}")
    if most is not None and number > most:
        raise InvalidInputError(f"{name} must be at most {most}, got {value!r}")
    return number
