from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from h2q import HouseholderQuantizer, open_collection
from h2q.errors import InvalidInputError


@pytest.mark.parametrize("uri", ["redis://localhost", "ftp://example.com/photos.h2q", ""])
def test_other_addresses_are_refused(uri):
    with pytest.raises(InvalidInputError, match="path"):
        open_collection(uri, n_bits=64)


@pytest.mark.parametrize("name", ["photos.h2q", "no suffix", "50% of #1?.h2q", "ü:x.h2q"])
def test_any_file_name(tmp_path: Path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for uri in (name, tmp_path / name, str(tmp_path / name), (tmp_path / name).as_uri()):
        with open_collection(uri, n_bits=8) as collection:
            assert collection.n_bits == 8
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_collection_in_memory_is_no_file_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match="give a path"):
        open_collection(":memory:", n_bits=8)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"decoder": "code"}, "fit_decoder"),
        ({"quantizer": HouseholderQuantizer}, "a quantizer of h2q or the name"),
    ],
)
def test_what_makes_a_collection_is_an_object(tmp_path: Path, given, message):
    with pytest.raises(InvalidInputError, match=message):
        open_collection(tmp_path / "c.h2q", n_bits=8, **given)
    assert not list(tmp_path.iterdir())


def test_rows_and_ids_that_do_not_go_together(tmp_path: Path):
    rows = np.random.default_rng(0).standard_normal((30, 12))
    with open_collection(tmp_path / "c.h2q", n_bits=4) as collection:
        for ids, given, message in (
            ({"a", "b"}, rows[:2], "no order"),
            (["a", "b"], [[1.0, 2.0], [3.0]], "one row of as many"),
            (["a"], np.ones((1, 12), int), "float32"),
        ):
            with pytest.raises(InvalidInputError, match=message):
                collection.add(ids, given)
        assert len(collection) == 0


def test_a_closed_collection_says_so(tmp_path: Path):
    collection = open_collection(tmp_path / "c.h2q", n_bits=8)
    assert repr(collection).endswith("n_bits=8, mode='a')")
    collection.close()
    assert repr(collection) == str(collection)
    assert repr(collection).endswith("n_bits=8, closed)")
