from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from h2q.errors import FormatError, InvalidInputError
from h2q.experiments import read_results, write_results
from h2q.experiments.results import COLUMNS, Result


def test_results_come_back_as_they_were(tmp_path: Path, small_run: list[Result]) -> None:
    path = write_results(tmp_path / "results.parquet", small_run)
    back = read_results(path)
    assert sorted(map(repr, back)) == sorted(map(repr, small_run))


def test_the_order_of_results_does_not_change_the_file(
    tmp_path: Path, small_run: list[Result]
) -> None:
    first = write_results(tmp_path / "a.parquet", small_run).read_bytes()
    second = write_results(tmp_path / "b.parquet", small_run[::-1]).read_bytes()
    assert first == second


def test_any_parquet_reader_sees_the_columns_and_types(
    tmp_path: Path, small_run: list[Result]
) -> None:
    table = pq.read_table(write_results(tmp_path / "results.parquet", small_run))
    assert table.column_names == list(COLUMNS)
    assert table.schema.field("value").type == pa.float64()
    assert table.schema.metadata[b"format"] == b"h2q-results"


def test_a_folder_of_a_run_is_read_as_one(tmp_path: Path, make_result) -> None:
    (tmp_path / "jobs").mkdir()
    for seed in (0, 1):
        write_results(tmp_path / "jobs" / f"{seed}.parquet", [make_result(seed=seed)])
    assert [r.seed for r in read_results(tmp_path)] == [0, 1]


def test_files_that_are_not_results_are_named(tmp_path: Path, small_run: list[Result]) -> None:
    with pytest.raises(InvalidInputError, match="there is no"):
        read_results(tmp_path / "absent.parquet")
    (tmp_path / "jobs").mkdir()
    with pytest.raises(InvalidInputError, match="no results yet"):
        read_results(tmp_path)
    whole = write_results(tmp_path / "results.parquet", small_run).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"cut\.parquet"):
        read_results(tmp_path / "cut.parquet")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    with pytest.raises(FormatError, match="no column 'dataset'"):
        read_results(tmp_path / "other.parquet")


def test_a_failed_write_leaves_the_file_as_it_was(
    tmp_path: Path, small_run: list[Result], make_result
) -> None:
    path = write_results(tmp_path / "results.parquet", small_run)
    before = path.read_bytes()
    with pytest.raises((TypeError, pa.ArrowInvalid)):
        write_results(path, [make_result(), make_result(seed=1, value="many")])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["results.parquet"]
