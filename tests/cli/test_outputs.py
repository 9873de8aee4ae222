"""A result takes the place of nothing that is needed, and an earlier result's place as before."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import h2q as package
from h2q.errors import InvalidInputError
from h2q.ingest import bulk_encode, encode_file
from h2q.ingest.quantizers import load_quantizer
from h2q.rowfiles import stream_of_collection, write_codes
from h2q.searching.searcher import Hit, Result
from h2q.searching.sheets import check_no_item, draw_sheet

H2Q = Callable[..., Any]


@pytest.fixture
def place(h2q: H2Q, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a collection of photos and rows, a quantizer and links to them."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 16)).astype(np.float32)
    np.save("rows.npy", rows)
    Path("shards").mkdir()
    np.save("shards/a.npy", rows)
    np.savez("rows.npz", embeddings=rows)
    Path("photos").mkdir()
    for name in ("photos/in.png", "q.jpg"):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(name)
    with package.open_collection("c.h2q", n_bits=16) as collection:
        payloads = [{"n": n} for n in range(59)]
        payloads.append({"folder": str(tmp_path / "photos"), "path": "in.png"})
        codes = rng.integers(0, 256, (60, 2), dtype=np.uint8)
        collection.add([f"i{n}" for n in range(60)], codes, payloads)
    assert h2q("fit", "rows.npy", "--out", "q.safetensors").code == 0
    os.link("rows.npz", "hard.npz")
    Path("soft.h2q").symlink_to("c.h2q")
    return tmp_path


def contents(place: Path) -> dict[str, bytes]:
    return {
        str(each.relative_to(place)): each.read_bytes()
        for each in sorted(place.rglob("*"))
        if each.is_file() and not each.name.endswith(("-wal", "-shm", ".looks"))
    }


_DESTRUCTIVE = (
    "export c.h2q --format npz c.h2q",
    "export c.h2q --format npy soft.h2q",
    "export c.h2q --format faiss-lsh --quantizer q.safetensors q.safetensors",
    "duplicates c.h2q --plan c.h2q",
    "duplicates c.h2q --plan soft.h2q",
    "duplicates c.h2q --out c.h2q",
    "duplicates c.h2q --out r.html --plan r.html",
    "fit rows.npy --out rows.npy",
    "fit rows.npy --out c.h2q",
    "fit rows.npy --out q.jpg",
    "fit shards --out shards/a.npy",
    "fit rows.npy --out a.safetensors --decoder-out a.safetensors",
    "encode rows.npz --quantizer q.safetensors --out rows.npz",
    "encode rows.npz --quantizer q.safetensors --out hard.npz",
    "encode rows.npz --quantizer q.safetensors --out q.safetensors",
    "encode rows.npz --quantizer q.safetensors --out c.h2q",
    "encode shards --quantizer q.safetensors --out shards",
    "embed photos --model q.safetensors --out q.safetensors",
    "search c.h2q q.jpg --out q.jpg",
    "search c.h2q --id i0 --not q.jpg --out q.jpg",
    "search c.h2q --id i0 --out photos/in.png",
    "paper table rows.npy --out rows.npy",
    "backup c.h2q --overwrite c.h2q",
    "demo --out c.h2q",
    "paper run --data digits --out c.h2q",
)


def test_no_command_writes_over_what_it_needs(h2q: H2Q, place: Path) -> None:
    before = contents(place)
    for line in _DESTRUCTIVE:
        outcome = h2q(*line.split())
        assert outcome.code == 1, (line, outcome)
        assert "give " in outcome.err or "choose " in outcome.err, (line, outcome)
        assert "Errno" not in outcome.err, (line, outcome)
        assert line.split()[-1].removeprefix("--") in outcome.err or "itself" in outcome.err, line
        assert contents(place) == before, line
    assert h2q("backup", "c.h2q", "c.h2q").err.count("is the collection itself") == 1


def test_nor_does_python(place: Path) -> None:
    before = contents(place)
    coder = load_quantizer("q.safetensors")
    photo = Path("photos/in.png")
    shown = Result("q", [Hit("i59", 0, None, {"folder": str(place / "photos"), "path": "in.png"})])
    with package.open_collection("c.h2q") as collection:
        stream = stream_of_collection(collection)
        for refused in (
            lambda: write_codes(stream, "c.h2q", "npz"),
            lambda: coder.save("c.h2q"),
            lambda: encode_file("rows.npz", coder, "hard.npz"),
            lambda: bulk_encode("shards", coder, "shards"),
            lambda: draw_sheet(shown, photo),
            lambda: check_no_item(photo.absolute(), collection),
        ):
            with pytest.raises(InvalidInputError, match="another name"):
                refused()
    assert contents(place) == before


def test_an_earlier_result_is_replaced_as_before(h2q: H2Q, place: Path) -> None:
    for line in (
        "export c.h2q a.npz",
        "export c.h2q a.npy",
        "fit rows.npy --out q.safetensors",
        "fit rows.npy --out a.safetensors --decoder-out d.safetensors",
        "encode rows.npz --quantizer q.safetensors --out codes.npz",
        "encode shards --quantizer q.safetensors --out parts",
        "duplicates c.h2q --plan plan.json --out pages",
        "search c.h2q --id i0 -k 60 --out sheet.png",
        "backup c.h2q copy.h2q --overwrite",
    ):
        for _ in range(2):
            outcome = h2q(*line.split())
            assert outcome.code == 0, (line, outcome)


def test_an_npz_brings_payloads_and_hdf5_says_what_it_lacks(h2q: H2Q, place: Path) -> None:
    assert h2q("export", "c.h2q", "a.npz").code == 0
    assert h2q("import", "a.npz", "-c", "d.h2q").code == 0
    with package.open_collection("c.h2q") as one, package.open_collection("d.h2q") as other:
        (first,), (second,) = one.iterate(), other.iterate()
    assert (second.ids, second.payloads) == (first.ids, first.payloads)
    # Without payloads nothing is beside it, nor what an earlier export put there.
    assert h2q("encode", "rows.npz", "--quantizer", "q.safetensors", "--out", "a.npz").code == 0
    assert not list(place.glob("a.npz.*"))
    outcome = h2q("export", "c.h2q", "a.hdf5")
    assert "54 codes of 16 bits, 6 held out as queries" in outcome.out
    assert "those of 60 items" in outcome.err
    facts = json.loads(h2q("export", "c.h2q", "a.hdf5", "--json").out)
    assert (facts["codes"], facts["held_out"]) == (54, 6)
    assert json.loads(h2q("import", "a.hdf5", "-c", "e.h2q", "--json").out)["added"] == 54


def test_a_full_disk_is_said_to_be_full_and_leaves_nothing(
    h2q: H2Q, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(place)

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("h2q._files.synchronise", full)
    for line in (
        "export c.h2q a.npz",
        "fit rows.npy --out a.safetensors",
        "encode rows.npz --quantizer q.safetensors --out codes.npz",
        "encode shards --quantizer q.safetensors --out parts",
        "duplicates c.h2q --out pages",
        "duplicates c.h2q --plan plan.json",
        "search c.h2q --id i0 -k 60 --out sheet.png",
    ):
        outcome = h2q(*line.split())
        named = line.split()[-1]
        assert outcome.code == 1, (line, outcome)
        assert "the disk is full" in outcome.err, (line, outcome)
        assert named in outcome.err, (line, outcome)
        assert contents(place) == before, line
        assert not (place / named).exists(), line
