"""index, search, embed and eval with the demo's model and pictures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from h2q.codes import pack
from h2q.learning import Hasher
from h2q.rowfiles import load_embeddings

H2Q = Callable[..., Any]


@pytest.fixture
def photos(demo: Path, tmp_path: Path) -> Path:
    """A folder of the digits 3 and 8."""
    folder = tmp_path / "photos"
    for digit in "38":
        shutil.copytree(demo / "photos" / digit, folder / digit)
    return folder


@pytest.fixture
def indexed(h2q: H2Q, demo: Path, photos: Path, tmp_path: Path) -> Path:
    collection = tmp_path / "c.h2q"
    outcome = h2q("index", photos, "--collection", collection, "--model", demo / "run")
    assert outcome.code == 0, outcome
    return collection


def test_index_counts_and_continues_without_the_model(
    h2q: H2Q, photos: Path, indexed: Path
) -> None:
    total = len(list(photos.rglob("*.png")))
    outcome = h2q("index", photos, "--collection", indexed)
    assert outcome.code == 0, outcome
    assert outcome.out == f"0 added, {total} unchanged -> {indexed}\n"
    (photos / "3" / "notes.jpg").write_text("text")
    next((photos / "8").glob("*.png")).unlink()
    outcome = h2q("index", photos, "-c", indexed, "--prune", "--json")
    assert outcome.code == 3, outcome
    report = json.loads(outcome.out)
    assert (report["added"], report["unchanged"], report["removed"]) == (0, total - 1, 1)
    assert report["skipped"][0]["path"].endswith("notes.jpg")
    assert "notes.jpg: is not an image" in outcome.err


def test_index_refuses_what_does_not_fit(
    h2q: H2Q, photos: Path, indexed: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for args, words in [
        (["index", tmp_path / "empty", "-c", tmp_path / "n.h2q", "-m", "m"], "holds no image"),
        (["index", tmp_path / "none", "-c", indexed], "there is no"),
        (["index", photos, "-c", tmp_path / "new.h2q", "--encoder", "best"], "unknown encoder"),
        (["index", photos, "-c", tmp_path / "new.h2q", "--bits", 2000], "1 to 1280"),
        (["index", photos, "-c", tmp_path / "new.h2q", "-m", photos], "no model.safetensors"),
        (["index", photos, "-c", photos / "3" / "x.h2q", "-m", tmp_path / "m"], "no model"),
    ]:
        outcome = h2q(*args)
        assert outcome.code == 1, outcome
        assert words in outcome.err
        assert "Traceback" not in outcome.err
    assert not (tmp_path / "n.h2q").exists()
    assert not (tmp_path / "new.h2q").exists()


def test_index_with_another_model_is_refused(
    h2q: H2Q, photos: Path, indexed: Path, tmp_path: Path
) -> None:
    Hasher("digits-cnn", n_bits=16).save(tmp_path / "other.safetensors")
    outcome = h2q("index", photos, "-c", indexed, "-m", tmp_path / "other.safetensors")
    assert outcome.code == 1, outcome
    assert "model" in outcome.err


def test_search_by_photo(h2q: H2Q, demo: Path, photos: Path, indexed: Path, tmp_path: Path) -> None:
    query = next((photos / "3").glob("*.png"))
    sheet = tmp_path / "sheet.png"
    outcome = h2q("search", indexed, query, "-k", 5, "--json", "--out", sheet)
    assert outcome.code == 0, outcome
    (result,) = json.loads(outcome.out)
    hits = result["neighbours"]
    assert len(hits) == 5
    assert hits[0]["distance"] == 0
    assert [h["score"] for h in hits] == sorted((h["score"] for h in hits), reverse=True)
    # The same by the model itself.
    hasher = Hasher.load(demo / "run" / "model.safetensors")
    with Image.open(query) as image:
        row = hasher.quantizer.rotate(hasher.embed_images([image]))
    paths = sorted(photos.rglob("*.png"))
    images = [Image.open(path) for path in paths]
    codes = np.sign(hasher.quantizer.rotate(hasher.embed_images(images)))
    best = np.sort(codes @ row[0])[::-1][:5]
    np.testing.assert_allclose([h["score"] for h in hits], best, rtol=0.02)  # may be bf16
    with Image.open(sheet) as picture:
        assert picture.width > 6 * 160 - 160
        assert len(picture.getcolors(1 << 24) or []) > 10


def test_search_table_where_and_hamming(h2q: H2Q, photos: Path, indexed: Path) -> None:
    query = next((photos / "3").glob("*.png"))
    outcome = h2q("search", indexed, query, "--rank", "hamming", "--where", "label=8", "-k", 4)
    assert outcome.code == 0, outcome
    lines = outcome.out.splitlines()
    assert lines[1].split() == ["#", "distance", "label", "id"]
    assert len(lines) == 6
    assert all(line.split()[2] == "8" for line in lines[2:])
    nothing = h2q("search", indexed, query, "--where", "label=7")
    assert nothing.code == 0
    assert "nothing found" in nothing.out


def test_search_by_id_and_radius(h2q: H2Q, photos: Path, indexed: Path) -> None:
    item_id = f"3/{sorted((photos / '3').glob('*.png'))[0].name}"
    outcome = h2q("search", indexed, "--id", item_id, "-k", 3, "--json")
    (result,) = json.loads(outcome.out)
    assert len(result["neighbours"]) == 3
    assert item_id not in [h["id"] for h in result["neighbours"]]
    outcome = h2q("search", indexed, "--id", item_id, "--radius", 16, "--json")
    (result,) = json.loads(outcome.out)
    assert len(result["neighbours"]) == len(list(photos.rglob("*.png"))) - 1
    missing = h2q("search", indexed, "--id", "3/none.png")
    assert missing.code == 1
    assert "holds no item '3/none.png'" in missing.err


def test_search_with_bad_queries(h2q: H2Q, indexed: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("text")
    np.save(tmp_path / "wide.npy", np.ones((1, 5), np.float32))
    for query, words in [
        ("text.jpg", "is not an image"),
        ("none.jpg", "neither a photo (there is no such file) nor the id"),
        ("wide.npy", "16"),
    ]:
        outcome = h2q("search", indexed, tmp_path / query)
        assert outcome.code == 1, outcome
        assert words in outcome.err
    outcome = h2q("search", tmp_path / "no.h2q", tmp_path / "text.jpg")
    assert outcome.code == 1
    assert "no.h2q" in outcome.err
    assert not (tmp_path / "no.h2q").exists()


def test_no_photo_is_embedded_for_a_collection_that_cannot_be_made(
    h2q: H2Q, photos: Path, tmp_path: Path
) -> None:
    outcome = h2q("index", photos, "--collection", tmp_path / "none" / "photos.h2q")
    assert outcome.code == 1
    assert f"there is no folder {tmp_path / 'none'}; make it first" in outcome.err
    assert "fitted on" not in outcome.err


def test_sheet_needs_a_picture_name(h2q: H2Q, photos: Path, indexed: Path, tmp_path: Path) -> None:
    query = next((photos / "3").glob("*.png"))
    outcome = h2q("search", indexed, query, "--out", tmp_path / "sheet.txt")
    assert outcome.code == 1
    assert ".png" in outcome.err


def test_embed_folder_matches_the_model(h2q: H2Q, demo: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "broken.png").write_bytes(b"\x89PNG")
    out = tmp_path / "e.npz"
    outcome = h2q("embed", photos, "--model", demo / "run", "--out", out, "--json")
    assert outcome.code == 3, outcome
    facts = json.loads(outcome.out)
    embeddings = load_embeddings(out)
    assert facts["rows"] == len(embeddings.ids) == len(list(photos.rglob("*.png"))) - 1
    assert [Path(s["path"]).name for s in facts["skipped"]] == ["broken.png"]
    assert embeddings.classes == ["3", "8"]
    hasher = Hasher.load(demo / "run" / "model.safetensors")
    with Image.open(photos / embeddings.ids[0]) as image:
        expected = hasher.embed_images([image])[0]
    np.testing.assert_allclose(embeddings.rows[0], expected, rtol=0.05, atol=0.05)  # may be bf16


def test_embed_data_set_fit_encode_index_search(h2q: H2Q, demo: Path, tmp_path: Path) -> None:
    """The way of the arrays, end to end."""
    rows = tmp_path / "e.npz"
    assert h2q("embed", "digits", "-m", demo / "run", "-o", rows).code == 0
    embeddings = load_embeddings(rows)
    assert len(embeddings.rows) == 1797
    rotation = tmp_path / "rotation.safetensors"
    outcome = h2q("fit", rows, "--bits", 12, "--out", rotation, "--json")
    assert outcome.code == 0, outcome
    assert json.loads(outcome.out)["rows"] == 899  # the training split
    codes = tmp_path / "codes.npz"
    assert h2q("encode", rows, "--quantizer", rotation, "--out", codes).code == 0
    by_codes, by_rows = tmp_path / "codes.h2q", tmp_path / "rows.h2q"
    assert h2q("index", codes, "-c", by_codes).code == 0
    outcome = h2q("index", rows, "-c", by_rows, "--quantizer", rotation)
    assert outcome.out == f"1,797 added -> {by_rows}\n"
    np.save(tmp_path / "q.npy", embeddings.rows[:2])
    outcome = h2q("search", by_rows, tmp_path / "q.npy", "-k", 2, "--json")
    assert outcome.code == 0, outcome
    first, second = json.loads(outcome.out)
    assert len(first["neighbours"]) == len(second["neighbours"]) == 2
    label = embeddings.labels[0] if embeddings.labels is not None else None
    assert first["neighbours"][0]["payload"]["label"] == str(label)
    same = h2q("search", by_codes, "--id", embeddings.ids[0], "--json").out
    stored = h2q("search", by_rows, "--id", embeddings.ids[0], "--json").out
    assert [h["distance"] for h in json.loads(same)[0]["neighbours"]] == [
        h["distance"] for h in json.loads(stored)[0]["neighbours"]
    ]


def test_ranks_of_a_collection_that_keeps_rows(h2q: H2Q, demo: Path, tmp_path: Path) -> None:
    rows, kept, bare = demo / "embeddings.npz", tmp_path / "kept.h2q", tmp_path / "bare.h2q"
    rotation = tmp_path / "rotation.safetensors"
    assert h2q("fit", rows, "--bits", 12, "--out", rotation).code == 0
    outcome = h2q("index", rows, "-c", kept, "--quantizer", rotation, "--keep", "int8")
    assert outcome.code == 0, outcome
    embeddings = load_embeddings(rows)
    np.save(tmp_path / "q.npy", embeddings.rows[:1])
    ask = ("search", kept, tmp_path / "q.npy", "-k", 5, "--json", "--rank")
    for rank in ("calibrated", "embedding", "cosine"):
        outcome = h2q(*ask, rank, "--oversample", 20)
        assert outcome.code == 0, outcome
        hits = json.loads(outcome.out)[0]["neighbours"]
        assert len(hits) == 5
        if rank != "calibrated":
            assert hits[0]["score"] == pytest.approx(1, abs=0.01)
    assert h2q("index", rows, "-c", bare, "--quantizer", rotation).code == 0
    for args, words in [
        ((*ask, "best"), "hamming, asymmetric"),
        (("search", kept, "--id", embeddings.ids[0], "--rank", "cosine"), "needs real queries"),
        (("search", bare, tmp_path / "q.npy", "--rank", "cosine"), "keep='int8'"),
        (("index", rows, "-c", kept, "--keep", "scale"), "keep='int8'"),
        (("index", rows, "-c", tmp_path / "n.h2q", "--keep", "all"), "keep must be one of"),
    ]:
        outcome = h2q(*args)
        assert outcome.code != 0
        assert words in " ".join((outcome.err + outcome.out).split())


def test_encode_with_a_model_uses_its_rotation(h2q: H2Q, demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "codes.npz"
    rows = demo / "embeddings.npz"
    assert h2q("encode", rows, "--quantizer", demo / "run", "--out", out).code == 0
    hasher = Hasher.load(demo / "run" / "model.safetensors")
    with np.load(out) as file:
        np.testing.assert_array_equal(
            file["codes"], pack(hasher.quantizer.rotate(load_embeddings(rows).rows))
        )
