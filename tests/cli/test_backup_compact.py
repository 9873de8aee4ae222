"""`h2q backup`, `h2q compact` and `h2q info --check` on a real collection."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h2q import open_collection
from h2q.codes import save_codes
from h2q.collections.embedded import derived, indexes

Run = Callable[..., Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "photos.h2q"
    codes = np.random.default_rng(0).integers(0, 256, (5000, 8), dtype=np.uint8)
    with open_collection(path, n_bits=64, index="hnsw") as collection:
        collection.add(range(5000), codes, [{"text": "x" * 100}] * 5000)
        collection.delete(range(4000))
    return path


def test_backup(h2q: Run, path: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy.h2q"
    outcome = h2q("backup", path, out, "--json")
    assert outcome.code == 0, outcome
    assert json.loads(outcome.out) == {
        "copy": str(out),
        "count": 1000,
        "size_bytes": out.stat().st_size,
    }
    again = h2q("backup", path, out)
    assert again.code == 1
    assert "--overwrite" in again.err
    outcome = h2q("backup", path, out, "--overwrite")
    assert outcome.code == 0
    assert outcome.out == ""
    assert "1,000 items" in outcome.err


def test_compact(h2q: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived, "LEAST_CACHED", 500)
    outcome = h2q("compact", path, "--json")
    assert outcome.code == 0, outcome
    facts = json.loads(outcome.out)
    assert facts["bytes_after"] == path.stat().st_size < 0.5 * facts["bytes_before"]
    with open_collection(path, mode="r") as collection:
        assert len(collection) == 1000
        collection.check()
    assert Path(f"{path}.cache").exists()


def test_an_index_is_stated_and_built(
    h2q: Run, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "LEAST_INDEXED", 100)
    asked = ("--index", "ivf_asymmetric", "--index-options", "nlist=20, nprobe=5")
    assert h2q("compact", path, *asked).code == 0
    rows = np.random.default_rng(0).standard_normal((500, 32)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    new = tmp_path / "rows.h2q"
    assert h2q("index", tmp_path / "rows.npy", "-c", new, "--bits", "16", *asked).code == 0
    for made in (path, new):
        with open_collection(made, mode="r") as collection:
            assert collection.info().index == "ivf_asymmetric"
            assert Path(f"{made}.index").exists()
            view = collection._view(None)
            assert view.ways.by_score.follow(view.table)
            assert dict(view.ways.by_score.spec.options) == {"nlist": 20, "nprobe": 5}
    for wrong in (("--index", "ivf_everything"), ("--index-options", "nlist=few")):
        outcome = h2q("compact", path, *wrong)
        assert outcome.code != 0
        assert wrong[1] in outcome.err


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("--index", "ivf_asym"), "--index must be one of flat, ivf, ivf_asymmetric"),
        (("--index", "ivf_asym"), "did you mean 'ivf_asymmetric'?"),
        (("--index", "ivf", "--index-options", "nlst=4"), "--index-options: 'nlst' is unknown"),
        (("--index", "flat", "--index-options", "nlist=4"), "--index-options: 'nlist' is unknown"),
        (("--index", "ivf", "--index-options", "nlist=0"), "--index-options: nlist"),
        (("--index-options", "nlist=4"), "give --index, too"),
    ],
)
def test_a_wrong_index_stores_nothing(
    h2q: Run, tmp_path: Path, wrong: tuple[str, ...], message: str
) -> None:
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).standard_normal((50, 32)))
    new, flat = tmp_path / "new.h2q", tmp_path / "flat.h2q"
    open_collection(flat, n_bits=16).close()
    before = flat.read_bytes()
    index = ("index", tmp_path / "rows.npy", "--bits", "16", "-c")
    for command in ((*index, new), (*index, flat), ("compact", flat)):
        outcome = h2q(*command, *wrong)
        assert outcome.code == 1
        assert message in " ".join(outcome.err.split())
    assert not new.exists()
    assert flat.read_bytes() == before


def test_options_alone_are_of_the_index_a_file_states(h2q: Run, tmp_path: Path) -> None:
    rows, path = tmp_path / "rows.npy", tmp_path / "rows.h2q"
    np.save(rows, np.random.default_rng(0).standard_normal((50, 32)))
    assert h2q("index", rows, "-c", path, "--bits", "16", "--index", "ivf").code == 0
    assert h2q("index", rows, "-c", path, "--index-options", "nlist=4").code == 0
    with open_collection(path, mode="r") as collection:
        assert dict(collection._facts.index.options) == {"nlist": 4}
    outcome = h2q("index", rows, "-c", path, "--index-options", "m=4")
    assert outcome.code == 1
    assert "--index-options: 'm' is unknown" in outcome.err


def test_index_leaves_a_large_collection_fast_to_open(
    h2q: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derived, "LEAST_CACHED", 500)
    codes = np.random.default_rng(0).integers(0, 256, (2000, 8), dtype=np.uint8)
    cache = tmp_path / "items.h2q.cache"
    sizes = []
    for n in (400, 1000, 1010, 2000):
        save_codes(tmp_path / "codes.npz", codes[:n], 64, ids=np.arange(n))
        outcome = h2q("index", tmp_path / "codes.npz", "-c", tmp_path / "items.h2q")
        assert outcome.code == 0, outcome
        sizes.append(cache.stat().st_size if cache.exists() else 0)
    assert sizes[0] == 0 < sizes[1]
    assert sizes[3] > 1.5 * sizes[1]


def test_info_checks_the_whole_file(h2q: Run, path: Path) -> None:
    facts = json.loads(h2q("info", path, "--check", "--json").out)
    assert (facts["checked"], facts["index"], facts["count"]) == ("sound", "hnsw", 1000)
    assert "checked" not in json.loads(h2q("info", path, "--json").out)
    h2q("compact", path)  # else the damage may be to what is free
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4096] = b"\xff" * 4096
    path.write_bytes(data)
    outcome = h2q("info", path, "--check")
    assert outcome.code == 1
    assert "damaged" in outcome.err


@pytest.mark.parametrize("args", [["backup", "URI", "copy.h2q"], ["compact", "URI"]])
def test_servers_and_missing_files_are_refused(h2q: Run, tmp_path: Path, args: list[str]) -> None:
    for uri, words in (
        ("postgresql://h.invalid/db", "cannot connect"),
        (str(tmp_path / "absent.h2q"), "no such collection"),
    ):
        outcome = h2q(*(uri if arg == "URI" else arg for arg in args))
        assert outcome.code == 1
        assert words in outcome.err
    assert list(tmp_path.iterdir()) == []
