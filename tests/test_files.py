"""Files are written whole or not at all."""

from __future__ import annotations

import os

import pytest

from h2q._files import write_whole, written_whole


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    target = tmp_path / "q"
    write_whole(target, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_block_that_raises_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "report"
    write_whole(target, b"old")

    def write_half() -> None:
        with written_whole(target) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
