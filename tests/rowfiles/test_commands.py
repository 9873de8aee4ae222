from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

import h2q
from h2q.rowfiles import FORMATS, read_codes
from h2q.rowfiles.bigann import save_rows
from tests.rowfiles.samples import same, sample

Run = Callable[..., Any]

DOCS = Path(__file__).resolve().parents[2] / "docs" / "interchange.md"


@pytest.fixture
def items(tmp_path: Path) -> str:
    everything = sample(64, 200, "mixed").gather()
    uri = str(tmp_path / "items.h2q")
    with h2q.open_collection(uri, n_bits=64) as collection:
        collection.add(everything.ids, everything.codes, everything.payloads)
    return uri


@pytest.mark.parametrize("name", ["codes.parquet", "codes.npy", "codes.u8bin", "codes.faiss"])
def test_a_collection_goes_out_and_comes_in(
    name: str, run: Run, items: str, tmp_path: Path
) -> None:
    out = tmp_path / name
    outcome = run("export", items, out, "--json")
    assert outcome.code == 0, outcome
    assert json.loads(outcome.out)["codes"] == 200
    other = tmp_path / "other.h2q"
    outcome = run("import", out, "--collection", other, "--json")
    assert outcome.code == 0, outcome
    assert json.loads(outcome.out)["added"] == 200
    assert json.loads(run("import", out, "-c", other, "--json").out)["updated"] == 200
    found = {}
    for uri in (items, other):
        with h2q.open_collection(uri, mode="r") as collection:
            found[str(uri)] = next(collection.iterate(1000))
    same(found[str(other)], found[items])


def test_options_conditions_and_formats_by_name(run: Run, items: str, tmp_path: Path) -> None:
    out = tmp_path / "some.bin"
    outcome = run(
        "export", items, out, "--format", "faiss", "--set", "index=ivf", "--set", "nlist=7",
        "--where", "good=true",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    index: Any = faiss.read_index_binary(str(out))
    assert (type(index), index.nlist) == (faiss.IndexBinaryIVF, 7)
    with h2q.open_collection(items, mode="r") as collection:
        assert index.ntotal == collection.count({"good": True})
    assert f"{index.ntotal} codes of 64 bits" in outcome.out


def test_raw_embeddings_search_what_was_exported(run: Run, tmp_path: Path) -> None:
    """From embeddings to a faiss file that needs nothing of h2q."""
    rows = np.random.default_rng(0).normal(size=(500, 40)).astype(np.float32)
    save_rows(tmp_path / "rows.fbin", rows)
    rotation, uri = tmp_path / "rotation.safetensors", tmp_path / "items.h2q"
    assert run("fit", tmp_path / "rows.fbin", "--bits", 24, "--out", rotation).code == 0
    outcome = run("index", tmp_path / "rows.fbin", "--collection", uri, "--quantizer", rotation)
    assert outcome.code == 0, outcome
    chain = tmp_path / "raw.lsh.faiss"
    assert run("export", uri, chain).code == 0
    found: Any = faiss.read_index(str(chain))
    distances, numbers = found.search(rows[:20], 1)
    assert (distances == 0).all()
    everything = read_codes(chain).gather()
    codes = dict(zip(everything.ids, everything.codes.tolist(), strict=True))
    assert [codes[str(i)] for i in numbers.ravel()] == [codes[str(i)] for i in range(20)]


def test_a_foreign_file_needs_its_bits(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "theirs.npy", sample(64, 30).gather().codes)
    uri = tmp_path / "items.h2q"
    outcome = run("import", tmp_path / "theirs.npy", "--collection", uri)
    assert outcome.code == 1
    assert "theirs.npy" in outcome.err
    assert "--bits" in outcome.err
    assert not uri.exists()
    assert run("import", tmp_path / "theirs.npy", "--collection", uri, "--bits", 64).code == 0
    outcome = run("import", tmp_path / "theirs.npy", "--collection", uri, "--bits", 63)
    assert outcome.code == 1
    assert "64" in outcome.err


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["x.lsh.faiss"], 1, "keeps none"),
        (["x.parkuet"], 1, "--format"),
        (["x.bin", "--format", "parkuet"], 1, "did you mean"),
        (["x.npy", "--set", "index=ivf"], 1, "takes no option"),
        (["x.npy", "--set", "index"], 2, "KEY=VALUE"),
        (["x.npy", "--quantizer", "q.safetensors"], 2, "faiss-lsh"),
        ([], 2, "file to write"),
    ],
)
def test_wrong_exports(
    args: list[str], code: int, says: str, run: Run, items: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    outcome = run("export", items, *args)
    assert outcome.code == code, outcome
    assert says in outcome.err
    assert not list(tmp_path.glob("x.*"))


def test_the_list_and_the_docs_name_every_format(run: Run) -> None:
    listed = json.loads(run("export", "--list", "--json").out)
    assert [each["name"] for each in listed] == list(FORMATS)
    table = DOCS.read_text(encoding="utf-8")
    for each in FORMATS.values():
        line = next(row for row in table.splitlines() if row.startswith(f"| `{each.name}` |"))
        assert all(f"`{suffix}`" in line for suffix in each.suffixes)
        assert each.bit_order.split(":")[0] in line
    assert all(name in run("export", "--list").out for name in FORMATS)
