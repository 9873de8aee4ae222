"""Results as Parquet files: written whole or not at all, readable by any data tool."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from h2q._files import written_whole
from h2q._foreign import check_share, reading, size_of
from h2q._lazy import require
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.errors import FormatError, InvalidInputError
from h2q.experiments.results import COLUMNS, Result

_FORMAT: Final = {b"format": b"h2q-results", b"format_version": b"1"}
# The same few words in every row; Parquet's dictionaries make them almost free.
_ORDER: Final = (
    "dataset",
    "backbone",
    "loss",
    "bits",
    "quantization",
    "penalty_weight",
    "seed",
    "split",
    "ranking",
    "metric",
)


def _schema() -> Any:
    arrow = require("pyarrow", "paper")
    kinds = {str: arrow.string(), int: arrow.int64(), float: arrow.float64(), bool: arrow.bool_()}
    fields = [arrow.field(name, kinds[kind], nullable=False) for name, kind in COLUMNS.items()]
    return arrow.schema(fields, metadata=_FORMAT)


def write_results(path: StrPath, results: Iterable[Result]) -> Path:
    """Write results to one Parquet file, sorted by case so that equal runs give equal files.

    Parameters
    ----------
    path : path-like
    results : iterable of Result
    """
    arrow, parquet = require("pyarrow", "paper"), require("pyarrow.parquet", "paper")
    rows = sorted((r.to_dict() for r in results), key=lambda row: [row[key] for key in _ORDER])
    columns = {name: [row[name] for row in rows] for name in COLUMNS}
    table = arrow.table(columns, schema=_schema())
    with written_whole(path) as file:
        parquet.write_table(table, file, compression="zstd", compression_level=12)
    return Path(path)


def read_results(path: StrPath) -> list[Result]:
    """Read results from a Parquet file, or from the folder of a run.

    Raises
    ------
    InvalidInputError
        If there is no such file, or the folder holds no results.
    FormatError
        If the file is damaged, or not one of ours.
    """
    place = as_path(path)
    if place.is_dir():
        parts = sorted((place / "jobs").glob("*.parquet"))
        if not parts:
            raise InvalidInputError(f"{place} holds no results yet; h2q paper run makes them")
        return [result for part in parts for result in _read(part)]
    if not place.is_file():
        raise InvalidInputError(f"there is no {str(place)!r}; h2q paper run --out makes results")
    return _read(place)


def _read(path: Path) -> list[Result]:
    parquet = require("pyarrow.parquet", "paper")
    with reading(path, "a Parquet file of results"):
        about = parquet.read_metadata(path)
        groups = [about.row_group(i).total_byte_size for i in range(about.num_row_groups)]
        check_share(path, size_of(path), max(sum(groups), about.num_rows), "write it anew")
        table = parquet.read_table(path)
        missing = [name for name in COLUMNS if name not in table.column_names]
        if missing:
            raise FormatError(f"{path} is no file of results: it has no column {missing[0]!r}")
        return [Result(**row) for row in table.select(list(COLUMNS)).to_pylist()]
