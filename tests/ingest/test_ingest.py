"""One way in: what a source is is seen, options that do not apply are refused, and it adds up."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h2q.codes import CodeFile, save_codes
from h2q.collections import open_collection
from h2q.errors import CollectionError, InvalidInputError
from h2q.ingest import ingest
from h2q.quantization import make_quantizer
from h2q.rowfiles import FORMATS, Embeddings, save_embeddings, stream_of_collection
from h2q.rowfiles.bigann import save_rows
from tests.ingest.conftest import BITS, rows_of
from tests.ingest.test_index_rows import contents


def held(uri: Path) -> list[Any]:
    with open_collection(str(uri), mode="r") as collection:
        return contents(collection)


@pytest.fixture
def exported(quantizer: Any, tmp_path: Path) -> Path:
    """A collection with ids of both kinds and payloads."""
    uri = tmp_path / "items.h2q"
    with open_collection(str(uri), n_bits=BITS) as collection:
        ids: list[Any] = [i if i % 2 else f"photo {i}" for i in range(300)]
        payloads = [{"label": "cat", "year": 2000 + i} if i % 3 else None for i in range(300)]
        collection.add(ids, quantizer.transform(rows_of(3, 300)), payloads)
    return uri


@pytest.mark.parametrize(
    "name", ["parquet", "arrow", "npy", "u8bin", "fbin", "faiss", "usearch", "pgvector"]
)
def test_what_is_exported_is_indexed(name: str, h2q: Any, exported: Path, tmp_path: Path) -> None:
    """By the command, and by the function, from a file of each format that keeps everything."""
    out = tmp_path / f"codes{FORMATS[name].suffixes[0]}"
    done = h2q("export", exported, out, "--json")
    assert done.code == 0, done
    done = h2q("index", out, "--collection", tmp_path / "by_command.h2q", "--json")
    assert json.loads(done.out)["added"] == 300, done
    assert ingest(out, tmp_path / "by_function.h2q").added == 300
    want = sorted(held(exported), key=str)
    for uri in ("by_command.h2q", "by_function.h2q"):
        assert sorted(held(tmp_path / uri), key=str) == want
    facts = json.loads(h2q("info", out, "--json").out)
    assert (facts["kind"], facts["rows"], facts["n_bits"]) == ("codes", 300, BITS)


@pytest.mark.parametrize("form", [".parquet", ".npz", ".npy", ".faiss"])
@pytest.mark.parametrize("many", [False, True])
def test_what_is_encoded_is_imported(
    form: str, many: bool, h2q: Any, quantizer: Any, tmp_path: Path
) -> None:
    if many and form in (".npy", ".faiss"):
        pytest.skip("parts are .npz or Parquet")
    quantizer.save(tmp_path / "q.safetensors")
    source = tmp_path / "rows"
    source.mkdir()
    ids = [f"i{k}" for k in range(500)]
    save_embeddings(source / "a.npz", Embeddings(rows_of(1), ids, np.arange(500) % 2, ["x", "y"]))
    out = tmp_path / ("codes" if many else f"codes{form}")
    args = ["--format", form[1:]] if many else []
    done = h2q("encode", source if many else source / "a.npz", "--quantizer",
               tmp_path / "q.safetensors", "--out", out, *args)  # fmt: skip
    assert done.code == 0, done
    done = h2q("import", out, "--collection", tmp_path / "c.h2q", "--json")
    assert json.loads(done.out)["added"] == 500, done
    found = held(tmp_path / "c.h2q")
    assert [each for each, _, _ in found] == ids
    codes = [row.tobytes() for row in quantizer.transform(rows_of(1))]
    assert [code for _, code, _ in found] == codes
    keeps_payloads = form != ".npz" or not many  # parts have nothing beside them
    assert found[1][2] == ({"label": "y"} if keeps_payloads else None)


def test_fbin_through_every_verb(h2q: Any, tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.fbin", tmp_path / "q.safetensors"
    save_rows(rows, rows_of(2))
    fitted = json.loads(h2q("fit", rows, "--bits", 16, "--out", out, "--json").out)
    assert (fitted["rows"], fitted["dimension"]) == (500, 24)
    assert json.loads(h2q("info", rows, "--json").out)["kind"] == "embeddings"
    assert h2q("encode", rows, "--quantizer", out, "--out", tmp_path / "c.npz").code == 0
    done = h2q("index", rows, "-c", tmp_path / "c.h2q", "--quantizer", out, "--json")
    assert json.loads(done.out)["added"] == 500, done
    save_rows(rows, rows_of(2, 3))
    found = json.loads(h2q("search", tmp_path / "c.h2q", rows, "-k", 1, "--json").out)
    assert [each["neighbours"][0]["id"] for each in found] == ["0", "1", "2"]
    found = json.loads(h2q("search", tmp_path / "c.h2q", tmp_path / "c.npz", "-k", 1, "--json").out)
    assert [each["neighbours"][0]["distance"] for each in found] == [0] * 500


@pytest.mark.parametrize("name", ["itq", "local-search"])
def test_a_quantizer_by_its_name(h2q: Any, tmp_path: Path, name: str) -> None:
    rows, uri = tmp_path / "rows.npy", tmp_path / "c.h2q"
    np.save(rows, rows_of(3))
    command = ["index", rows, "-c", uri, "--quantizer", name]
    asked = h2q(*command)
    assert (asked.code, uri.exists()) == (1, False)
    assert "--bits" in asked.err
    done = h2q(*command, "--bits", 16, "--json")
    assert json.loads(done.out)["added"] == 500, done
    with open_collection(uri, mode="r") as collection:
        assert type(make_quantizer(name, 16)).__name__ in repr(collection.quantizer)
    again = h2q(*command, "--bits", 16)
    assert again.code == 1
    assert "has its quantizer" in again.err


def test_a_name_is_refused_where_nothing_is_fitted(
    h2q: Any, quantizer: Any, tmp_path: Path
) -> None:
    codes, uri = tmp_path / "codes.npz", tmp_path / "c.h2q"
    save_codes(codes, quantizer.transform(rows_of(1)), BITS)
    for bits in (None, BITS):
        with pytest.raises(InvalidInputError, match=r"codes\.npz holds codes; the quantizer itq"):
            ingest(codes, uri, quantizer="itq", n_bits=bits)
    rows = Embeddings(rows_of(1), list(range(500)))
    for options in ({"quantizer": "itq"}, {"quantizer": "itq", "n_bits": 16}, {}):
        with pytest.raises(InvalidInputError, match="rows in memory need a fitted quantizer"):
            ingest(rows, uri, **options)
    np.save(tmp_path / "rows.npy", rows_of(1))
    typo = h2q("index", tmp_path / "rows.npy", "-c", uri, "--bits", 16, "--quantizer", "itqq")
    assert typo.code == 1
    assert "itqq is neither a file nor one of none," in typo.err
    assert "did you mean 'itq'?" in typo.err
    with pytest.raises(InvalidInputError, match=r"neither a file .*; fit one with `h2q fit`"):
        ingest(tmp_path / "rows.npy", uri, quantizer=tmp_path / "rotation.safetensors")
    assert not uri.exists()
    assert ingest(codes, uri, quantizer=quantizer).added == 500
    assert ingest(rows, uri).added == 500  # by the quantizer it keeps


def test_a_file_and_its_folder_and_memory_agree(quantizer: Any, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    ids = [int(i) for i in np.random.default_rng(0).permutation(500)]
    given = Embeddings(rows_of(5), ids, np.arange(500) % 3 - 1, ["x", "y"])
    save_embeddings(tmp_path / "rows" / "a.npz", given)
    np.savez(tmp_path / "plain.npz", vectors=rows_of(5))  # a usual key, found on either way
    for source, name in ((tmp_path / "rows" / "a.npz", "file"), (tmp_path / "rows", "folder"),
                         (f"{tmp_path}/rows/*.npz", "pattern"), (given, "memory")):  # fmt: skip
        report = ingest(source, tmp_path / f"{name}.h2q", quantizer=quantizer)
        assert (report.added, report.updated) == (500, 0)
        assert held(tmp_path / f"{name}.h2q") == held(tmp_path / "file.h2q")
    found = held(tmp_path / "file.h2q")
    assert [each for each, _, _ in found] == ids
    assert [payload for _, _, payload in found[:3]] == [None, {"label": "x"}, {"label": "y"}]
    assert ingest(tmp_path / "plain.npz", tmp_path / "plain.h2q", quantizer=quantizer).added == 500


def test_splits_and_repeated_ids(quantizer: Any, tmp_path: Path) -> None:
    split = np.where(np.arange(500) % 5 == 0, "query", "train")
    ids = ["twice" if i in (5, 10) else f"i{i}" for i in range(500)]
    for name in ("a.npz", "a.parquet"):
        save_embeddings(tmp_path / name, Embeddings(rows_of(1), ids, split=split))
        uri = tmp_path / f"{name}.h2q"
        report = ingest(tmp_path / name, uri, quantizer=quantizer, split="query")
        # The id that comes twice is one item, and is told.
        assert (report.added, report.updated, len(held(uri))) == (99, 1, 99)
        assert all(payload is None for _, _, payload in held(uri))
    np.save(tmp_path / "a.npy", rows_of(1))
    with pytest.raises(InvalidInputError, match="does not say which rows are of the split"):
        ingest(tmp_path / "a.npy", tmp_path / "n.h2q", quantizer=quantizer, split="query")
    assert not (tmp_path / "n.h2q").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prune": True}, "takes no prune"),
        ({"gps": True}, "takes no gps"),
        ({"model": "m.safetensors"}, "takes no model"),
        ({"bit_order": "lsb", "kind": "embeddings"}, "have no bits"),
        ({"quantizer": None}, "takes a quantizer"),
    ],
)
def test_options_of_the_other_kind(
    options: dict[str, Any], message: str, quantizer: Any, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", rows_of(1))
    with pytest.raises((InvalidInputError, CollectionError), match=message):
        ingest(tmp_path / "a.npy", tmp_path / "c.h2q", **{"quantizer": quantizer, **options})
    with pytest.raises(InvalidInputError, match="takes no key"):
        ingest(Embeddings(rows_of(1), list(range(500))), tmp_path / "c.h2q", key="x")


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="there is no"):
        ingest(tmp_path / "none", tmp_path / "c.h2q")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InvalidInputError, match="neither a folder of photos nor a file of rows"):
        ingest(tmp_path / "notes.txt", tmp_path / "c.h2q")
    assert not (tmp_path / "c.h2q").exists()


def test_codes_in_memory(quantizer: Any, exported: Path, tmp_path: Path) -> None:
    codes = quantizer.transform(rows_of(1))
    assert ingest(CodeFile(codes, BITS), tmp_path / "a.h2q").added == 500
    save_codes(tmp_path / "a.npz", codes, BITS)
    ingest(tmp_path / "a.npz", tmp_path / "b.h2q")
    assert held(tmp_path / "a.h2q") == held(tmp_path / "b.h2q")
    with open_collection(str(exported), mode="r") as collection:
        ingest(stream_of_collection(collection), tmp_path / "copy.h2q")
    assert held(tmp_path / "copy.h2q") == held(exported)


def test_photos_touched_moved_and_pruned_by_units(
    photos: Path, model: bytes, tmp_path: Path
) -> None:
    """The rules of a local folder hold where the work goes by units."""
    from h2q.ingest import bulk_index_photos

    file = tmp_path / "model.safetensors"
    file.write_bytes(model)
    assert ingest(photos, tmp_path / "a.h2q", model=file, device="cpu").added == 60
    with open_collection(str(tmp_path / "b.h2q"), n_bits=BITS, model=model) as by_units:
        bulk_index_photos(str(photos), by_units, model, device="cpu")
    assert held(tmp_path / "a.h2q") == held(tmp_path / "b.h2q")
    (photos / "cats" / "01.png").touch()
    shutil.rmtree(photos / "dogs")
    report = ingest(photos, tmp_path / "a.h2q", device="cpu")
    with open_collection(str(tmp_path / "b.h2q")) as by_units:
        other = bulk_index_photos(str(photos), by_units, model, device="cpu")
        assert other.to_dict() == report.to_dict()
        assert (other.renewed, other.unchanged, other.gone) == (1, 29, 30)
        other = bulk_index_photos(str(photos), by_units, model, device="cpu", prune=True)
    assert (other.removed, other.gone) == (30, 0)
    ingest(photos, tmp_path / "a.h2q", device="cpu", prune=True)
    assert held(tmp_path / "a.h2q") == held(tmp_path / "b.h2q")


def test_photos_moved_elsewhere_are_not_coded_again_by_units(
    photos: Path, model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from h2q.ingest import bulk_index_photos, by_units

    odd = os.fsdecode(b"caf\xe9.png")  # by its bytes, as a folder may hold it
    moved, copied, renamed, *_ = sorted((photos / "cats").iterdir())
    renamed.rename(photos / odd)
    with open_collection(str(tmp_path / "b.h2q"), n_bits=BITS, model=model) as collection:
        assert bulk_index_photos(str(photos), collection, model, device="cpu").added == 60
        (item,) = collection.get([r"caf\xe9.png"])
        before = collection.get([f"cats/{moved.name}"])[0]
        assert before is not None
        assert item is not None
        moved.rename(photos / "dogs" / "sofa.png")
        shutil.copy(copied, photos / "copy.png")
        units = by_units.photo_units
        coded: list[Any] = []
        monkeypatch.setattr(
            by_units, "photo_units", lambda files, size: units(coded.extend(files) or files, size)
        )
        report = bulk_index_photos(str(photos), collection, model, device="cpu")
        assert coded == []
        assert (report.added, report.renewed, report.unchanged, report.gone) == (1, 1, 59, 0)
        after = collection.get(["dogs/sofa.png"])[0]
        assert after is not None
        np.testing.assert_array_equal(after.code, before.code)
        assert f"cats/{moved.name}" not in collection


def test_labelled_rows_of_a_table_are_judged_as_those_of_an_npz(h2q: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    rows = (rng.standard_normal((3, 8))[labels] + rng.standard_normal((300, 8))).astype(np.float32)
    given = Embeddings(rows, [f"i{k}" for k in range(300)], labels, ["a", "b", "c"])
    found = []
    for name in ("e.npz", "e.parquet"):
        save_embeddings(tmp_path / name, given)
        done = h2q("eval", tmp_path / name, "--methods", "none,itq", "--json")
        assert done.code == 0, done
        found.append(json.loads(done.out)["quantizers"])
    assert found[0] == found[1]
    save_rows(tmp_path / "e.fbin", rows)
    done = h2q("eval", tmp_path / "e.fbin")
    assert done.code == 1
    assert "have no labels" in done.err


@pytest.mark.parametrize("bits", [16, 24])
def test_embeddings_with_bits_fit_a_rotation(bits: int, h2q: Any, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((400, 24)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    np.savez(tmp_path / "rows.npz", features=rows, ids=np.arange(400) + 7)
    for name, ids in (("rows.npy", [str(i) for i in range(400)]), ("rows.npz", range(7, 407))):
        uri = tmp_path / f"{name}.h2q"
        for added in (400, 0):
            done = h2q("index", tmp_path / name, "-c", uri, "--bits", bits, "--json")
            assert json.loads(done.out)["added"] == added, done
        with open_collection(str(uri), mode="r") as collection:
            assert list(collection) == list(ids)
            assert collection.n_bits == bits
            codes = collection.quantizer.transform(rows)
            held = np.stack([item.code for item in collection.get(list(ids)) if item])
            np.testing.assert_array_equal(held, codes)
        other = h2q("index", tmp_path / name, "-c", uri, "--bits", 8)
        assert other.code != 0
        assert "8 bits were asked for" in other.err


def test_bytes_with_bits_are_codes(h2q: Any, tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(0, 256, (30, 4), dtype=np.uint8)
    np.save(tmp_path / "codes.npy", codes)
    done = h2q("index", tmp_path / "codes.npy", "-c", tmp_path / "c.h2q", "--bits", 32, "--json")
    assert json.loads(done.out)["added"] == 30, done
    with open_collection(str(tmp_path / "c.h2q"), mode="r") as collection:
        np.testing.assert_array_equal(
            [item.code for item in collection.get(["3"]) if item], codes[3:4]
        )
