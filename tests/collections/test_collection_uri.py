from __future__ import annotations

from pathlib import Path

import pytest

from h2q import open_collection
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
