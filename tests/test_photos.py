from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import h2q
from h2q.errors import CollectionError, CompatibilityError, FormatError, InvalidInputError
from h2q.photos import Photos

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from tests.encoders.tiny_onnx import pair


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten shades each of red, green and blue, and a copy of one."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(10):
        for channel, name in enumerate(("red", "green", "blue")):
            colour = np.random.default_rng(3 * i + channel).integers(0, 40, 3)
            colour[channel] = 215 + 4 * i
            (folder / name).mkdir(exist_ok=True)
            Image.new("RGB", (9, 8), tuple(int(c) for c in colour)).save(folder / name / f"{i}.png")
    (folder / "copy.png").write_bytes((folder / "red" / "0.png").read_bytes())
    return folder


@pytest.fixture(scope="module")
def photos(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Photos]:
    pytest.importorskip("tokenizers")
    network = pair(tmp_path_factory.mktemp("net"), columns=16)
    uri = tmp_path_factory.mktemp("c") / "p.h2q"
    with h2q.open_photos(uri, encoder=f"onnx:{network}", n_bits=16) as opened:
        assert len(opened) == 0
        with pytest.raises(InvalidInputError, match=r"nothing is indexed yet; call index"):
            opened.search(folder / "red" / "0.png")
        assert opened.index(folder).added == 31
        yield opened


def kinds(hits: list[object]) -> set[str]:
    return {str(hit.id).split("/")[0] for hit in hits}  # type: ignore[attr-defined]


def test_four_lines(photos: Photos, folder: Path) -> None:
    assert len(photos) == 31
    assert "red/0.png" in photos
    assert repr(photos).endswith("p.h2q: 31 photos>")
    hits = photos.search(folder / "blue" / "3.png", k=10)
    assert hits[0].distance == 0
    assert {hit.path for hit in hits} >= {folder / "blue" / "3.png"}
    assert hits[0].payload is not None
    assert hits[0].payload["width"] == 9
    assert kinds(hits) == {"blue"}
    assert kinds(photos.search("blue/3.png", k=9)) == {"blue"}
    assert kinds(photos.search(text="green", k=10)) == {"green"}
    assert kinds(photos.search(["red/1.png", "red/2.png"], unlike="blue/1.png", k=5)) <= {
        "red",
        "copy.png",
    }
    assert kinds(photos.search(text="red", where={"label": "blue"})) == {"blue"}
    assert photos.index(folder).unchanged == 31


@pytest.mark.slow
def test_duplicates_are_found(photos: Photos, folder: Path) -> None:
    groups = photos.duplicates().groups
    same = [{str(m.id) for m in g.members} for g in groups if g.level == "same"]
    assert any({"red/0.png", "copy.png"} <= ids for ids in same)


def test_a_later_opening_needs_nothing(photos: Photos, folder: Path) -> None:
    with h2q.open_photos(photos.uri, mode="r") as again:
        assert again.search(folder / "red" / "0.png", k=1)[0].distance == 0
        for change in (lambda: again.index(folder), lambda: again.delete(["copy.png"])):
            with pytest.raises(InvalidInputError, match="reading only"):
                change()


def test_deleting_leaves_the_file(photos: Photos, folder: Path) -> None:
    assert photos.delete(["green/9.png", "none"]) == 1
    assert (folder / "green" / "9.png").exists()
    assert photos.index(folder).added == 1


def test_what_is_no_collection_says_so(tmp_path: Path) -> None:
    (tmp_path / "text.h2q").write_text("text" * 100)
    with pytest.raises(FormatError):
        h2q.open_photos(tmp_path / "text.h2q")
    with pytest.raises(CollectionError, match="no such collection"):
        h2q.open_photos(tmp_path / "none.h2q", mode="r")
    assert not (tmp_path / "none.h2q").exists()


def test_another_length_is_refused_when_it_is_opened(photos: Photos) -> None:
    with pytest.raises(CompatibilityError, match="holds 16-bit codes, 32 bits were asked for"):
        h2q.open_photos(photos.uri, n_bits=32)
    with pytest.raises(CompatibilityError, match="keep='codes', keep='int8' was asked for"):
        h2q.open_photos(photos.uri, keep="int8")
    assert len(h2q.open_photos(photos.uri, n_bits=16)) == 31


@pytest.mark.parametrize(
    "options",
    [{"k": "a"}, {"k": True}, {"k": 0}, {"radius": 1.5}, {"distinct": "a"}, {"distinct": -1}],
    ids=repr,
)
def test_numbers_of_a_search_are_numbers(photos: Photos, options: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match="must be a whole number"):
        photos.search("red/1.png", **options)  # type: ignore[arg-type]


def test_one_id_alone_deletes_nothing(photos: Photos) -> None:
    for one in ("red/1.png", 5):
        with pytest.raises(InvalidInputError, match="must be a list of ids"):
            photos.delete(one)  # type: ignore[arg-type]
    assert photos.delete(each for each in ["none"]) == 0
    assert "red/1.png" in photos


def test_the_name_of_a_collection_that_cannot_be_opened_is_shown(tmp_path: Path) -> None:
    (tmp_path / "junk.h2q").write_bytes(b"junk" * 100)
    opened = Photos(
        str(tmp_path / "junk.h2q"), encoder=None, model=None, n_bits=None, keep=None,
        device="auto", mode="a",
    )  # fmt: skip
    assert repr(opened).endswith("junk.h2q: cannot be opened (FormatError)>")
