"""Rows of zeros, without labels or of an odd shape: one rule whichever way they come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import h2q
from h2q.datasets import load_dataset
from h2q.errors import InvalidInputError
from h2q.ingest import bulk_encode, encode_file, fit_shards, ingest
from h2q.ingest.report import Skipped
from h2q.rowfiles import Embeddings, open_rows

ROWS = np.random.default_rng(0).standard_normal((100, 32)).astype(np.float32)
ZEROS = np.where(np.isin(np.arange(100), (5, 70))[:, None], 0, ROWS).astype(np.float32)


def saved(path: Path, rows: np.ndarray) -> str:
    np.save(path, rows)
    return str(path)


@pytest.mark.parametrize("n_bits", [16, 32])
def test_rows_of_zeros_are_skipped_and_counted_by_every_bulk_path(tmp_path: Path, n_bits):
    source = saved(tmp_path / "zero.npy", ZEROS)
    quantizer = h2q.HouseholderQuantizer(n_bits, random_state=0)
    fitted = fit_shards(source, quantizer)
    assert (fitted.rows, fitted.skipped) == (98, 2)
    memory = Embeddings(ZEROS, [str(i) for i in range(100)])
    for name, given, options in (
        ("named", source, {"n_bits": n_bits}),
        ("fitted", source, {"quantizer": quantizer, "decoder": "linear"}),
        ("memory", memory, {"quantizer": quantizer, "decoder": "code"}),
    ):
        if "decoder" in options and n_bits == 32:
            options.pop("decoder")
        report = ingest(given, tmp_path / f"{name}.h2q", **options)
        assert report.added == 98
        assert [each.path for each in report.skipped] == ["row 5", "row 70"]
        assert "all zeros" in report.skipped[0].reason
    told: list[Skipped] = []
    assert encode_file(source, quantizer, tmp_path / "c.npz", on_skipped=told.extend) == 98
    assert [each.path for each in told] == ["row 5", "row 70"]
    assert open_rows(tmp_path / "c.npz").count == 98
    parts = bulk_encode(source, quantizer, str(tmp_path / "parts"), unit_size=40)
    assert (parts.rows, len(parts.skipped)) == (98, 2)


def test_rows_that_are_all_zeros_fit_nothing(tmp_path: Path):
    source = saved(tmp_path / "zero.npy", np.zeros((100, 32), np.float32))
    with pytest.raises(InvalidInputError, match="all rows are zeros"):
        fit_shards(source, h2q.HouseholderQuantizer(16))
    with pytest.raises(InvalidInputError, match="all rows are zeros"):
        ingest(source, tmp_path / "a.h2q", n_bits=16)
    assert not (tmp_path / "a.h2q").exists()


def test_rows_without_labels_are_counted(tmp_path: Path):
    some = np.arange(100) % 5.0
    some[:7] = np.nan
    for labels, count, words in (
        (some, 7, "7 of 100 rows have no label"),
        (np.full(100, np.nan), 100, "no row has a label"),
        (np.full(100, -1), 100, "no row has a label"),
    ):
        np.savez(tmp_path / "l.npz", features=ROWS, labels=labels)
        (tmp_path / "l.h2q").unlink(missing_ok=True)
        report = ingest(str(tmp_path / "l.npz"), tmp_path / "l.h2q", n_bits=16)
        assert (report.added, report.unlabelled) == (100, count)
        with pytest.raises(InvalidInputError, match=words):
            load_dataset(f"npz:{tmp_path / 'l.npz'}")


def test_a_collection_without_items_says_so(tmp_path: Path):
    with h2q.open_collection(tmp_path / "b.h2q", n_bits=16) as items:
        with pytest.raises(InvalidInputError, match="nothing has been added"):
            items.search(ROWS[:1])
        with pytest.raises(InvalidInputError, match=r"31 are too few for 16 bits; add at least 32"):
            items.add(range(31), ROWS[:31])
        for call in (items.search, lambda rows: items.add(range(100), rows)):
            with pytest.raises(InvalidInputError, match=r"astype\('float32'\)"):
                call((100 * ROWS).astype(np.int32))


def test_rows_of_another_dimension_are_named(tmp_path: Path):
    for rows in (ROWS[:, 0], ROWS.reshape(100, 4, 8)):
        source = saved(tmp_path / "d.npy", rows)
        for bits in (16, None):
            with pytest.raises(InvalidInputError, match="rows must be two-dimensional"):
                ingest(source, tmp_path / "a.h2q", n_bits=bits)
