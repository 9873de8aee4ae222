from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import h2q as package
from h2q import open_collection
from h2q.duplicates import Duplicates, find_duplicates
from h2q.duplicates import find as module
from h2q.duplicates.looks import Look
from h2q.errors import InvalidInputError
from h2q.images import Photo, read_photo
from tests.duplicates.conftest import Photos
from tests.duplicates.photo_copies import KINDS, PixelEncoder, index, photographs, write_copy


def said(found: Duplicates) -> dict[frozenset[object], tuple[str, str]]:
    """Each verified pair of a group's first and another: (level, change)."""
    pairs: dict[frozenset[object], tuple[str, str]] = {}
    for group in found.groups:
        for member in group.members[1:]:
            pair = frozenset([group.members[0].id, member.id])
            pairs.setdefault(pair, (group.level, member.change))
    return {pair: what for pair, what in pairs.items() if what[0] != "related"}


def test_every_kind_of_copy_is_called_what_it_is(photos: Photos) -> None:
    found = package.duplicates(photos.uri, encoder=PixelEncoder())
    answers = said(found)
    expected = {
        frozenset([copy, original]): KINDS[kind] for copy, (kind, original) in photos.truth.items()
    }
    whole = {pair: what for pair, what in answers.items() if what[1] == "whole"}
    for pair in whole:  # the crop came first
        answers[pair] = ("close", "cropped")
    assert answers == expected
    assert (found.n_items, found.n_verifiable, found.trouble) == (21, 21, "")
    assert found.limits.calibrated["cropped"]["copies"] == 20  # as many as different files


def test_the_better_photo_is_kept_and_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    photo = photographs()[0]
    photo.save(folder / "lossless.png")
    photo.save(folder / "good.jpg", quality=95)
    photo.save(folder / "poor.jpg", quality=50)
    write_copy(photo, folder / "good.jpg", folder / "small", "small")
    for number, name in enumerate(["b/later.jpg", "a/older.jpg"]):
        (folder / name).parent.mkdir()
        photographs()[1].save(folder / name)
        os.utime(folder / name, (2_000_000 - number, 2_000_000 - number))
    index(folder, str(tmp_path / "c.h2q"))
    first, second = find_duplicates(tmp_path / "c.h2q").of("same")
    assert [m.id for m in first.members] == ["lossless.png", "good.jpg", "poor.jpg", "small.jpg"]
    assert first.why == "format: PNG keeps more than JPEG"
    assert [m.id for m in second.members] == ["a/older.jpg", "b/later.jpg"]
    assert second.why.startswith("oldest: 1970-01-")


def test_protected_photos_are_never_spare(photos: Photos) -> None:
    found = find_duplicates(photos.uri, protect=[photos.folder / "copies"])
    assert found.of("same")
    assert not any(str(member.id).startswith("copies/") for member in found.spare)
    # Byte for byte equal: the protected one is kept, so the other can go.
    assert [member.id for member in found.spare] == ["photo00.png"]
    with pytest.raises(InvalidInputError, match="does not exist"):
        find_duplicates(photos.uri, protect=[photos.folder / "absent"])


def test_one_file_under_two_ids_is_no_copy_of_itself(photos: Photos) -> None:
    before = find_duplicates(photos.uri, encoder=PixelEncoder())
    with open_collection(photos.uri) as collection:
        batch = next(collection.iterate())
        collection.add([f"again/{item}" for item in batch.ids], batch.codes, batch.payloads)
    found = find_duplicates(photos.uri, encoder=PixelEncoder())
    assert (found.n_items, said(found)) == (before.n_items, said(before))
    assert [m.id for m in found.spare] == [m.id for m in before.spare]


def test_photos_that_are_gone_or_changed_are_not_verified(photos: Photos) -> None:
    (photos.folder / "photo00.png").unlink()
    (photos.folder / "photo01.png").write_bytes(b"another file")
    found = find_duplicates(photos.uri)
    assert found.n_verifiable == 19
    assert "1 photos are not where they were" in found.trouble
    assert "1 have changed" in found.trouble
    assert "h2q index" in found.trouble
    verified = {m.id for g in found.groups if g.level != "related" for m in g.members}
    assert not verified & {"photo00.png", "photo01.png"}


def test_without_photos_nothing_is_verified(tmp_path: Path) -> None:
    with open_collection(tmp_path / "c.h2q", n_bits=16) as collection:
        collection.add(list("abcd"), np.array([[0, 0], [0, 0], [0, 1], [255, 0]], np.uint8))
    found = find_duplicates(tmp_path / "c.h2q", radius=0)
    assert found.trouble == "cannot verify all: 4 items are no photos"
    assert [(g.level, [m.id for m in g.members]) for g in found.groups] == [("related", ["a", "b"])]
    assert found.spare == []


def test_related_items_are_all_within_the_radius_of_the_first(tmp_path: Path) -> None:
    codes = np.packbits(np.tril(np.ones((9, 8), dtype=np.uint8), -1), axis=1)  # a chain
    with open_collection(tmp_path / "c.h2q", n_bits=8) as collection:
        collection.add(list(range(9)), codes)
    found = find_duplicates(tmp_path / "c.h2q", radius=2)
    assert [[m.id for m in g.members] for g in found.groups] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert all(m.distance <= 2 for g in found.groups for m in g.members)


def test_looks_are_taken_once_and_kept_by_content(
    photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find_duplicates(photos.uri)
    looked: list[Image.Image] = []
    real = module.look_of

    def look_of(image: Image.Image, size: tuple[int, int]) -> Look:
        looked.append(image)
        return real(image, size)

    monkeypatch.setattr(module, "look_of", look_of)
    assert said(find_duplicates(photos.uri)) == said(first)
    assert not looked
    (photos.folder / "photo11.png").rename(photos.folder / "moved.png")
    photographs()[10].resize((100, 90)).save(photos.folder / "photo10.png")
    index(photos.folder, photos.uri)
    find_duplicates(photos.uri)
    assert len(looked) == 1  # what was moved is known by its content


def test_a_second_search_reads_no_photo(photos: Photos, monkeypatch: pytest.MonkeyPatch) -> None:
    first = find_duplicates(photos.uri)
    read: list[str] = []

    def record(source: Path, **options: object) -> Photo:
        read.append(Path(source).name)
        return read_photo(source, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "read_photo", record)
    monkeypatch.setattr("h2q.duplicates.verifying.read_photo", record)
    second = find_duplicates(photos.uri)
    assert (said(second), second.limits, read) == (said(first), first.limits, [])
    assert second.limits.calibrated
    (photos.folder / "photo10.png").unlink()
    photographs()[10].resize((100, 90)).save(photos.folder / "new.png")
    index(photos.folder, photos.uri)
    find_duplicates(photos.uri)
    assert "new.png" in read  # and beside it those alone that it may be a copy of
    assert len(set(read)) < 12
    with sqlite3.connect(f"{photos.uri}.looks") as connection:
        assert connection.execute("SELECT count(*) FROM compared").fetchone()[0] > 20
        connection.execute("""UPDATE compared SET measures = '{"upright": 3, "rough": [1]}'""")
        connection.execute(
            """UPDATE compared SET measures = '{"copies/0/none": 3}' WHERE second = ''"""
        )
    assert said(find_duplicates(photos.uri)) == said(find_duplicates(photos.uri))


@pytest.mark.parametrize("damage", [b"no database at all, but long enough to be one" * 100, b""])
def test_a_damaged_file_of_looks_is_made_anew(photos: Photos, damage: bytes) -> None:
    first = find_duplicates(photos.uri)
    kept = Path(f"{photos.uri}.looks")
    kept.write_bytes(damage)
    assert said(find_duplicates(photos.uri)) == said(first)
    with sqlite3.connect(kept) as connection:
        assert connection.execute("SELECT count(*) FROM looks").fetchone() == (20,)
        connection.execute("UPDATE looks SET look = x'00'")
    assert said(find_duplicates(photos.uri)) == said(first)


def test_flat_and_tiny_photos_do_no_harm(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (64, 64), "white").save(folder / "white.png")
    Image.new("RGB", (64, 64), "black").save(folder / "black.png")
    Image.new("RGB", (64, 64), (120, 0, 0)).save(folder / "red.png")
    Image.new("RGB", (1, 1), "white").save(folder / "dot.png")
    Image.new("RGB", (3000, 2), "white").save(folder / "line.png")
    index(folder, str(tmp_path / "c.h2q"))
    found = find_duplicates(tmp_path / "c.h2q")
    same = {frozenset(m.id for m in g.members) for g in found.of("same")}
    assert same <= {frozenset({"white.png", "dot.png"})}
