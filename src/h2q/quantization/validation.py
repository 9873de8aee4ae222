"""What a quantizer accepts as rows, and the errors for what it does not."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np
from array_api_compat import array_namespace

from h2q._typing import Array
from h2q.errors import InvalidInputError
from h2q.quantization.arrays import to_numpy
from h2q.quantization.registry import MOST_LEARNED_BITS
from h2q.quantization.sphere import blocks_of

#: How many row numbers an error lists.
_LISTED = 10


def check_rows(estimator: Any, X: Any, *, reset: bool) -> Array:
    """Return `X` as a two-dimensional real array without copying what already is one.

    Values are not looked at (`check_finite` does, in blocks), so a memory-mapped file is not read.

    Parameters
    ----------
    estimator : object
        Its `n_features_in_` and `feature_names_in_` are set where `reset`, else compared with.
    X : array-like of shape (n, d)
        Any array of the array-API standard stays in its namespace; anything else (lists, data
        frames) becomes numpy.
    reset : bool

    Raises
    ------
    InvalidInputError
        If `X` is empty, complex, not two-dimensional, or not as wide as what was fitted.
    """
    if not reset and _is_plain(estimator, X):
        return X
    if np.ma.is_masked(X):
        raise InvalidInputError(
            "the rows are masked, and a mask would be lost: fill it (X.filled(...)), or leave the "
            "masked rows out"
        )
    # Only here: importing scikit-learn takes longer than coding a photo.
    from sklearn.utils.validation import check_array, validate_data

    try:
        if array_api_compat.is_array_api_obj(X) and not array_api_compat.is_numpy_array(X):
            rows = _check_array_api(X)
        else:
            rows = check_array(X, dtype="numeric", ensure_all_finite=False, estimator=estimator)
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    except ValueError as error:
        raise InvalidInputError(_remedied(str(error))) from error
    return rows


def _remedied(words: str) -> str:
    """Add to scikit-learn's words, which its own checks look for, what is to be done."""
    if "features, but" in words:
        return (
            f"{words}: the rows are of other columns than those that were fitted on; give rows of "
            "the same network, or fit another quantizer"
        )
    return words


def _is_plain(estimator: Any, X: Any) -> bool:
    """Whether `X` is a numpy array of native floats of the shape that was fitted: all is well."""
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and len(X) > 0
        and X.dtype in (np.float32, np.float64)
        and X.dtype.isnative
        and X.shape[1] == estimator.n_features_in_
        and not hasattr(estimator, "feature_names_in_")
    )


def _check_array_api(X: Array) -> Array:
    if array_api_compat.is_torch_array(X):
        X = X.detach()
    shape = tuple(X.shape)
    if len(shape) != 2:
        raise InvalidInputError(
            f"expected a 2D array of rows, got {len(shape)}D of shape {shape}; "
            "reshape a single row with X[None, :]"
        )
    for size, what in zip(shape, ("sample", "feature"), strict=True):
        if size == 0:
            raise InvalidInputError(
                f"found array with 0 {what}(s) (shape={shape}) while a minimum of 1 is required"
            )
    if array_namespace(X).isdtype(X.dtype, "complex floating"):
        raise InvalidInputError("complex data not supported: pass real rows")
    return X


def check_finite(rows: Array, *, first_row: int = 0) -> None:
    """Reject NaN and infinity anywhere, naming the rows; memory stays bounded.

    Parameters
    ----------
    rows : array of shape (n, d)
    first_row : int
        Number of the first row, where `rows` is a block of something longer.
    """
    xp = array_namespace(rows)
    if not xp.isdtype(rows.dtype, "real floating"):
        return
    bad: list[int] = []
    for block in blocks_of(rows):
        finite = xp.all(xp.isfinite(rows[block, :]), axis=1)
        if not bool(xp.all(finite)):
            found = np.flatnonzero(~to_numpy(finite)) + block.start + first_row
            bad.extend(int(row) for row in found)
    if bad:
        raise InvalidInputError(
            f"{name_rows(bad)} contain NaN or infinity; remove them or fill them in first"
        )


def name_rows(rows: list[int]) -> str:
    """'rows 3, 8 and 15 more', for messages."""
    listed = ", ".join(str(row) for row in rows[:_LISTED])
    more = f" and {len(rows) - _LISTED} more" if len(rows) > _LISTED else ""
    return f"row{'s' if len(rows) != 1 else ''} {listed}{more}"


def refuse_zero_rows(rows: list[int], after: str = "") -> None:
    """Refuse rows to be coded that are zero, " after centring" perhaps; no rows are none."""
    if rows:
        raise InvalidInputError(
            f"{name_rows(rows)} {'are' if len(rows) > 1 else 'is'} zero{after} and so without a "
            "direction or a code; leave them out"
        )


def check_whole_bits(n_bits: int | None, n_features: int) -> int:
    """Return the number of bits, which may exceed the columns; None is one a column."""
    if n_bits is None:
        return n_features
    if isinstance(n_bits, bool) or not isinstance(n_bits, int | np.integer) or n_bits < 1:
        raise InvalidInputError(f"n_bits must be a whole number of at least 1, got {n_bits!r}")
    if n_bits > max(MOST_LEARNED_BITS, n_features):
        raise InvalidInputError(
            f"n_bits must be at most {MOST_LEARNED_BITS:,}, got {n_bits:,}: a table of n_bits x "
            "n_bits numbers has to fit in memory; codes of 64 to 1,024 bits do for most"
        )
    return int(n_bits)


def check_n_bits(n_bits: int | None, n_features: int) -> int:
    """Return the number of bits for rows of `n_features` columns; None keeps them all."""
    if isinstance(n_bits, int | np.integer) and n_bits > n_features:
        raise InvalidInputError(
            f"n_bits={n_bits} is more than the {n_features} columns of X: an orthogonal map "
            f"cannot add bits; use n_bits <= {n_features}, or wider embeddings"
        )
    return check_whole_bits(n_bits, n_features)
