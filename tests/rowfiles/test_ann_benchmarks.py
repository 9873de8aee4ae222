"""The file has what ann-benchmarks reads, and its neighbours are true by other libraries."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from h2q.codes import hamming_distances, unpack
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles import read_codes, write_codes
from h2q.rowfiles.ann_benchmarks import read_benchmark
from tests.rowfiles.samples import KINDS, queries_for, sample


def test_it_has_what_ann_benchmarks_reads(tmp_path: Path) -> None:
    given = sample(36, 300)
    queries = queries_for(36)
    path = write_codes(given, tmp_path / "codes-36-hamming.hdf5", queries=queries, k=10)
    with h5py.File(path) as file:
        assert {name: file.attrs[name] for name in ("type", "distance", "point_type")} == {
            "type": "dense", "distance": "hamming", "point_type": "bit",
        }  # fmt: skip
        assert int(file.attrs["dimension"]) == 36
        train, test = np.array(file["train"]), np.array(file["test"])
        neighbors, distances = np.array(file["neighbors"]), np.array(file["distances"])
    assert (train.dtype, train.shape, test.shape) == (np.bool_, (300, 36), (20, 36))
    np.testing.assert_array_equal(train, unpack(given.gather().codes, 36))
    # scikit-learn's Hamming distance is the share of the columns that differ, as theirs is.
    peer = NearestNeighbors(n_neighbors=10, metric="hamming", algorithm="brute").fit(train)
    np.testing.assert_allclose(distances, peer.kneighbors(test)[0], rtol=1e-6)
    truth = (test[:, None, :] != train[neighbors]).mean(axis=2)
    np.testing.assert_allclose(distances, truth, rtol=1e-6)


@pytest.mark.parametrize("ids", KINDS)
def test_held_out_queries_are_not_in_the_database(ids: str, tmp_path: Path) -> None:
    everything = sample(64, 300, ids).gather()
    path = write_codes(sample(64, 300, ids), tmp_path / "a.hdf5", n_queries=12, k=5)
    found = read_codes(path).gather()
    assert len(found.ids) == 288
    place = {(type(each), each): i for i, each in enumerate(everything.ids)}
    rows = [place[type(each), each] for each in found.ids]
    np.testing.assert_array_equal(found.codes, everything.codes[rows])
    whole = read_benchmark(path)
    assert whole.n_bits == 64
    held = np.setdiff1d(np.arange(300), rows)
    np.testing.assert_array_equal(whole.test, everything.codes[held])
    table = hamming_distances(whole.test, whole.train)
    np.testing.assert_allclose(
        np.take_along_axis(table, whole.neighbors.astype(int), axis=1) / 64, whole.distances
    )
    again = write_codes(sample(64, 300, ids), tmp_path / "b.hdf5", n_queries=12, k=5)
    np.testing.assert_array_equal(read_benchmark(again).test, whole.test)


def test_a_data_set_of_theirs_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "random-xs-16-hamming.hdf5", "w") as file:
        file.attrs["distance"], file.attrs["point_type"] = "hamming", "bit"
        train = rng.random((90, 16)) > 0.5
        file.create_dataset("train", train.shape, dtype=train.dtype)[:] = train
    found = read_codes(tmp_path / "random-xs-16-hamming.hdf5")
    np.testing.assert_array_equal(unpack(found.gather().codes, 16), train)
    with pytest.raises(FormatError, match="lacks distances, neighbors, test"):
        read_benchmark(tmp_path / "random-xs-16-hamming.hdf5")
    with h5py.File(tmp_path / "real.hdf5", "w") as file:
        file["train"] = rng.normal(size=(10, 4))
    with pytest.raises(FormatError, match=r"real\.hdf5: not a Hamming"):
        read_codes(tmp_path / "real.hdf5")


def test_too_few_codes_to_hold_queries_out(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="too few"):
        write_codes(sample(64, 5), tmp_path / "a.hdf5")
