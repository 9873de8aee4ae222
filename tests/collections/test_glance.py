"""What is seen of a file at a glance: never less than what happened."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

import numpy as np
import pytest

from h2q import open_collection
from h2q.collections.embedded import glance


@pytest.fixture
def index(tmp_path: Path) -> Path:
    path = tmp_path / "c.h2q-shm"
    path.write_bytes(bytes(2 * mmap.PAGESIZE))
    return path


def put(path: Path, first: bytes, second: bytes) -> None:
    with path.open("r+b") as file:
        file.write(first + second)


def header(count: int, version: int = 3_007_000) -> bytes:
    return struct.pack("=III", version, 0, count) + bytes(36)


def test_a_header_is_known_when_both_copies_are_equal(index: Path) -> None:
    log = glance.LogIndex(index)
    assert log.mapped
    assert log.header() is None  # nobody has written it
    put(index, header(1), header(1))
    assert log.header() == header(1)
    put(index, header(1), header(2))  # a writer has written the second and not yet the first
    assert log.header() is None
    put(index, header(2), header(2))
    assert log.header() == header(2)
    put(index, header(2, 3_008_000), header(2, 3_008_000))  # of an SQLite that is not known here
    assert log.header() is None
    log.close()
    assert log.header() is None


def test_an_index_that_is_cut_short(index: Path) -> None:
    log = glance.LogIndex(index)
    put(index, header(1), header(1))
    with index.open("r+b") as file:
        file.truncate(3)  # as SQLite does where it takes the index for nobody's
    assert log.header() is None
    log.close()
    index.write_bytes(b"abc")
    short = glance.LogIndex(index)
    assert not short.mapped
    assert short.header() is None
    short.close()


def test_facts_change_with_the_file(tmp_path: Path) -> None:
    if glance._STAT is None:
        pytest.skip("the C library has no stat by this name")
    path = tmp_path / "file"
    name = str(path).encode()
    assert glance.facts(name) is None
    path.write_bytes(b"1")
    first = glance.facts(name)
    assert first is not None
    assert glance.facts(name) == first
    path.write_bytes(b"12")
    grown = glance.facts(name)
    assert grown != first
    other = tmp_path / "other"
    other.write_bytes(b"34")
    other.replace(path)
    assert glance.facts(name) not in (first, grown)


@pytest.mark.parametrize("blind", ["stat", "header"])
def test_a_search_without_glances(tmp_path: Path, monkeypatch, blind: str) -> None:
    path = tmp_path / "c.h2q"
    if blind == "stat":
        monkeypatch.setattr(glance, "_STAT", None)
    else:
        monkeypatch.setattr(glance.LogIndex, "header", lambda self: None)
    code = np.zeros((1, 2), np.uint8)
    with open_collection(path, n_bits=16) as items, open_collection(path) as other:
        for number in range(3):
            other.add([number], code)
            assert items.search(code).ids[0] == [*range(number + 1)]
            assert items.search(code, where={"a": 1}).ids[0] == []
