"""Rows of a collection as tables and columns of polars, pyarrow and pandas, and masked ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import h2q
from h2q.errors import InvalidInputError

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
BITS = 8
NAMES = [f"z{i}" for i in range(BITS)]
ROWS = np.random.default_rng(0).standard_normal((20, BITS)).astype(np.float32)
PLAIN = h2q.SignQuantizer().fit(ROWS)


def _arrow_column(rows: np.ndarray) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])


FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "polars frame": lambda rows: pl.DataFrame(rows, schema=NAMES),
    "polars column of arrays": lambda rows: pl.Series("z", rows),
    "polars column of lists": lambda rows: pl.Series("z", rows.tolist(), pl.List(pl.Float32)),
    "polars frame of one column": lambda rows: pl.DataFrame({"z": pl.Series("z", rows)}),
    "pyarrow table": lambda rows: pa.table(dict(zip(NAMES, rows.T, strict=True))),
    "pyarrow batch": lambda rows: pa.record_batch(dict(zip(NAMES, rows.T, strict=True))),
    "pyarrow array": _arrow_column,
    "pyarrow column": lambda rows: pa.table({"z": _arrow_column(rows)})["z"],
    "pyarrow table of one column": lambda rows: pa.table({"z": _arrow_column(rows)}),
    "pandas frame": lambda rows: pd.DataFrame(rows, columns=NAMES),
    "pandas column of arrays": lambda rows: pd.Series(list(rows)),
    "list of arrays": list,
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_every_form_are_the_rows(form: str, tmp_path: Path) -> None:
    make = FORMS[form]
    with h2q.open_collection(tmp_path / "c.h2q", quantizer=PLAIN, keep="float16") as items:
        items.add(range(20), make(ROWS))
        assert np.array_equal(items.get([3])[0].code, np.packbits(ROWS[3] > 0))
        for rank in ("asymmetric", "cosine"):
            found = items.search(make(ROWS[:4]), 3, rank=rank)
            expected = items.search(ROWS[:4], 3, rank=rank)
            assert found.ids == expected.ids
            assert np.array_equal(found.scores, expected.scores)


@pytest.mark.parametrize(
    "bad",
    [
        pl.DataFrame({"a": [1.0, None], "b": [1.0, 2.0]}),
        pl.Series("z", [[1.0, 2.0], [1.0]]),
        pl.Series("z", [[1.0, 2.0], None]),
        pa.table({"a": pa.array([1.0, None]), "b": pa.array([1.0, 2.0])}),
        pa.array([[1.0, None], [2.0, 3.0]]),
        pa.array([[1.0, 2.0], None]),
        pd.Series([[1.0, 2.0], None]),
        np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], [[0, 1], [0, 0]]),
        [np.ma.masked_array([1.0, 2.0], [0, 1]), np.ma.masked_array([1.0, 2.0], [0, 0])],
    ],
    ids=lambda bad: type(bad).__module__.partition(".")[0],
)
def test_what_is_missing_or_masked_is_refused(bad: Any, tmp_path: Path) -> None:
    plain = h2q.SignQuantizer().fit(ROWS[:, :2])
    with h2q.open_collection(tmp_path / "c.h2q", quantizer=plain) as items:
        with pytest.raises(InvalidInputError, match=r"NaN|masked|differ in length"):
            items.add([1, 2], bad)
        with pytest.raises(InvalidInputError, match=r"NaN|masked|differ in length"):
            items.search(bad, 1)
        assert len(items) == 0
