from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h2q import open_collection
from h2q.codes import hamming_distances
from h2q.collections import Collection
from h2q.errors import CompatibilityError, InvalidInputError
from h2q.images import read_image
from h2q.ingest import IndexReport, PhotoEncoder, index_folder, photo_path
from tests.ingest.folders.photo_files import save_photo


@pytest.fixture
def collection(tmp_path: Path, model: Path) -> Iterator[Collection]:
    with open_collection(tmp_path / "c.h2q", n_bits=16, model=model) as opened:
        yield opened


def counts(report: IndexReport) -> tuple[int, int, int, int, int, int]:
    """Added, updated, renewed, unchanged, skipped, removed."""
    return (
        report.added,
        report.updated,
        report.renewed,
        report.unchanged,
        len(report.skipped),
        report.removed,
    )


def test_every_photo_gets_its_code_and_facts(
    photos: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    report = index_folder(photos, collection, encoder, batch_size=5)
    assert counts(report) == (12, 0, 0, 0, 0, 0)
    assert len(collection) == 12
    item = collection.get(["dogs/puppies/2.jpg"])[0]
    assert item is not None
    assert item.payload is not None
    assert item.payload["label"] == "dogs"
    assert item.payload["folder"] == str(photos)
    assert item.payload["size"] == (photos / "dogs/puppies/2.jpg").stat().st_size
    with Image.open(photos / "dogs/puppies/2.jpg") as image:
        expected = encoder.encode([encoder.prepare(image.convert("RGB"))])
    # Reduced precision may round a value near zero otherwise in a batch of another size.
    assert hamming_distances(item.code[None], expected)[0, 0] <= 1
    top = collection.get(["top0.png"])[0]
    assert top is not None
    assert "label" not in (top.payload or {})
    assert collection.count({"label": "cats"}) == 6


def test_second_run_reads_nothing(
    photos: Path,
    collection: Collection,
    encoder: PhotoEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index_folder(photos, collection, encoder)
    monkeypatch.setattr("h2q.ingest.photo_reader.read_photo", None)  # any call would fail
    monkeypatch.setattr("h2q.ingest.plan.content_hash", None)
    assert counts(index_folder(photos, collection, encoder)) == (0, 0, 0, 12, 0, 0)


def test_new_changed_and_touched_files(
    photos: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    index_folder(photos, collection, encoder)
    before = collection.get(["cats/1.png", "cats/2.png"])
    save_photo(photos / "cats" / "new.png", 99)
    save_photo(photos / "cats" / "1.png", 100)
    os.utime(photos / "cats" / "2.png", (1, 1))
    assert counts(index_folder(photos, collection, encoder)) == (1, 1, 1, 10, 0, 0)
    after = collection.get(["cats/1.png", "cats/2.png"])
    assert before[0] is not None
    assert before[1] is not None
    assert after[0] is not None
    assert after[1] is not None
    assert after[0].payload != before[0].payload
    np.testing.assert_array_equal(after[1].code, before[1].code)
    assert (after[1].payload or {})["mtime_ns"] == 10**9
    assert counts(index_folder(photos, collection, encoder)) == (0, 0, 0, 13, 0, 0)


def test_same_size_but_other_content_is_seen(
    tmp_path: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    path = tmp_path / "photos" / "a.bmp"  # uncompressed: always the same size
    save_photo(path, 1)
    index_folder(path.parent, collection, encoder)
    old = collection.get(["a.bmp"])[0]
    save_photo(path, 2)
    os.utime(path, (5, 5))
    assert counts(index_folder(path.parent, collection, encoder)) == (0, 1, 0, 0, 0, 0)
    new = collection.get(["a.bmp"])[0]
    assert old is not None
    assert new is not None
    assert (old.payload or {})["sha256"] != (new.payload or {})["sha256"]


def test_vanished_files_stay_until_pruned(
    photos: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    index_folder(photos, collection, encoder)
    collection.add(["mine"], np.zeros((1, 2), np.uint8), [{"note": "not of a folder"}])
    shutil.rmtree(photos / "dogs")
    assert counts(index_folder(photos, collection, encoder)) == (0, 0, 0, 8, 0, 0)
    assert len(collection) == 13
    assert counts(index_folder(photos, collection, encoder, prune=True)) == (0, 0, 0, 8, 0, 4)
    assert len(collection) == 9
    assert "mine" in collection


def test_prune_leaves_other_folders_and_prefixes_alone(
    photos: Path, tmp_path: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    other = tmp_path / "other"
    save_photo(other / "x.png", 50)
    save_photo(other / "y.png", 51)
    index_folder(photos, collection, encoder)
    index_folder(other, collection, encoder, prefix="other")
    (other / "y.png").unlink()
    (photos / "top0.png").unlink()
    assert index_folder(photos, collection, encoder, prune=True).removed == 1
    assert "other/y.png" in collection
    assert index_folder(other, collection, encoder, prefix="other", prune=True).removed == 1
    assert "other/y.png" not in collection


def test_bad_files_are_listed_and_skipped(
    photos: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    (photos / "notes.jpg").write_text("shopping")
    whole = (photos / "cats" / "0.png").read_bytes()
    (photos / "cut.png").write_bytes(whole[: len(whole) // 2])
    (photos / "gone.jpg").symlink_to(photos / "nowhere")
    report = index_folder(photos, collection, encoder, batch_size=4)
    assert report.added == 12
    reasons = {Path(each.path).name: each.reason for each in report.skipped}
    assert set(reasons) == {"notes.jpg", "cut.png", "gone.jpg"}
    assert "is not an image" in reasons["notes.jpg"]
    assert "truncated" in reasons["cut.png"]
    assert all(str(photos) not in reason for reason in reasons.values())
    again = index_folder(photos, collection, encoder)
    assert counts(again) == (0, 0, 0, 12, 3, 0)


def test_photo_that_breaks_later_keeps_its_old_code(
    photos: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    index_folder(photos, collection, encoder)
    (photos / "cats" / "0.png").write_text("overwritten")
    report = index_folder(photos, collection, encoder, prune=True)
    assert counts(report) == (0, 0, 0, 11, 1, 0)
    assert "cats/0.png" in collection


def test_too_large_photos_are_skipped(
    photos: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    Image.new("RGB", (100, 100)).save(photos / "large.png")
    report = index_folder(photos, collection, encoder, max_pixels=9999)
    assert [Path(each.path).name for each in report.skipped] == ["large.png"]
    assert "100 x 100" in report.skipped[0].reason


def test_names_that_are_not_unicode_are_found_again(
    photos: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    raw = os.fsencode(photos) + b"/caf\xe9.png"
    content = save_photo(photos / "accent.png", 77).read_bytes()
    (photos / "accent.png").unlink()
    with open(raw, "wb") as file:  # noqa: PTH123 (a bytes path)
        file.write(content)
    assert counts(index_folder(photos, collection, encoder)) == (13, 0, 0, 0, 0, 0)
    (item,) = collection.get([r"caf\xe9.png"])
    assert item is not None
    path = photo_path(item.payload)
    assert path is not None
    assert path.read_bytes() == content
    assert counts(index_folder(photos, collection, encoder)) == (0, 0, 0, 13, 0, 0)
    os.unlink(raw)  # noqa: PTH108
    assert index_folder(photos, collection, encoder, prune=True).removed == 1


def test_moved_folder_is_recognised_by_content(
    photos: Path, tmp_path: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    index_folder(photos, collection, encoder)
    moved = photos.rename(tmp_path / "moved")
    assert counts(index_folder(moved, collection, encoder)) == (0, 0, 12, 0, 0, 0)
    item = collection.get(["top0.png"])[0]
    assert item is not None
    assert (item.payload or {})["folder"] == str(moved)


def test_two_folders_with_the_same_names_need_a_prefix(
    photos: Path, tmp_path: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    index_folder(photos, collection, encoder)
    save_photo(tmp_path / "second" / "top0.png", 77)
    with pytest.raises(InvalidInputError, match=r"top0\.png.*--prefix"):
        index_folder(tmp_path / "second", collection, encoder)
    report = index_folder(tmp_path / "second", collection, encoder, prefix="second")
    assert report.added == 1
    assert "second/top0.png" in collection
    assert "top0.png" in collection


def test_empty_or_missing_folder(
    tmp_path: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.txt").touch()
    with pytest.raises(InvalidInputError, match="holds no image"):
        index_folder(tmp_path / "empty", collection, encoder)
    with pytest.raises(InvalidInputError, match="does not exist"):
        index_folder(tmp_path / "none", collection, encoder)


def test_prune_never_empties_a_collection_because_a_folder_is_empty(
    photos: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    index_folder(photos, collection, encoder)
    shutil.rmtree(photos)
    photos.mkdir()  # a disk that is not mounted looks like this
    with pytest.raises(InvalidInputError, match="holds no image"):
        index_folder(photos, collection, encoder, prune=True)
    assert len(collection) == 12


def test_other_code_length_is_refused(photos: Path, tmp_path: Path, encoder: PhotoEncoder) -> None:
    with (
        open_collection(tmp_path / "other.h2q", n_bits=32) as collection,
        pytest.raises(CompatibilityError, match=r"16 bits.*32"),
    ):
        index_folder(photos, collection, encoder)


def test_interrupted_run_keeps_whole_batches_and_continues(
    photos: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_folder(photos, collection, encoder, batch_size=3, on_progress=stop)
    assert len(collection) == 6
    assert counts(index_folder(photos, collection, encoder)) == (6, 0, 0, 6, 0, 0)


def test_progress_counts_every_photo(
    photos: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    seen: list[tuple[int, int]] = []
    index_folder(
        photos, collection, encoder, batch_size=5, on_progress=lambda a, b: seen.append((a, b))
    )
    assert seen == [(0, 12), (5, 12), (10, 12), (12, 12)]


def test_a_collection_that_keeps_rows_gets_them(
    photos: Path, tmp_path: Path, model: Path, encoder: PhotoEncoder
) -> None:
    """Also of photos that only moved: a record cannot be read back."""
    with open_collection(tmp_path / "kept.h2q", model=model, keep="float16") as collection:
        assert counts(index_folder(photos, collection, encoder))[0] == 12
        moved = photos.rename(tmp_path / "moved")
        assert counts(index_folder(moved, collection, encoder)) == (0, 0, 12, 0, 0, 0)
        image = read_image(moved / "cats" / "3.png")
        row = encoder.rotate(encoder.embed([encoder.prepare(image)]))
        found = collection.search(row, 3, rank="cosine")
        assert found.ids[0][0] == "cats/3.png"
        assert found.scores is not None
        assert found.scores[0][0] == pytest.approx(1, abs=1e-3)


class Counting:
    """The model, counting the photos it sees."""

    def __init__(self, encoder: PhotoEncoder) -> None:
        self._encoder, self.seen = encoder, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._encoder, name)

    def embed(self, prepared: list[object]) -> object:
        self.seen += len(prepared)
        return self._encoder.embed(prepared)  # type: ignore[arg-type]


def test_moved_renamed_and_copied_photos_are_not_embedded_again(
    photos: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    shutil.copy(photos / "top0.png", photos / "same.png")  # twice in one run: embedded once
    counting = Counting(encoder)
    index_folder(photos, collection, counting, batch_size=4)  # type: ignore[arg-type]
    assert counting.seen <= 13
    before = {item_id: collection.get([item_id])[0] for item_id in collection}
    counting.seen = 0
    (photos / "cats").rename(photos / "felines")
    (photos / "top1.png").rename(photos / "Été 🐈.png")
    shutil.copy(photos / "top0.png", photos / "copy.png")
    report = index_folder(photos, collection, counting)  # type: ignore[arg-type]
    assert counting.seen == 0
    assert (report.added, report.renewed, report.unchanged, report.gone) == (1, 7, 6, 0)
    assert len(collection) == 14
    assert "cats/0.png" not in collection
    for new, old in [("felines/0.png", "cats/0.png"), ("Été 🐈.png", "top1.png")]:
        item, was = collection.get([new])[0], before[old]
        assert item is not None
        assert was is not None
        np.testing.assert_array_equal(item.code, was.code)
        assert (item.payload or {})["width"] == 12
    assert collection.count({"label": "felines"}) == 6
    assert counts(index_folder(photos, collection, encoder)) == (0, 0, 0, 14, 0, 0)


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("renamed", ["a", "b", "c", "ab", "bc", "ac", "abc"])
def test_of_copies_each_that_is_renamed_is_known_again(
    tmp_path: Path, collection: Collection, encoder: PhotoEncoder, renamed: str, batch_size: int
) -> None:
    """Whichever of them was stored first, and though others of the content stay or were moved."""
    folder = tmp_path / "copies"
    for name in "abc":
        save_photo(folder / f"{name}.png", 5)
    index_folder(folder, collection, encoder)
    for name in renamed:
        (folder / f"{name}.png").rename(folder / f"new-{name}.png")
    shutil.copy(folder / "new-a.png" if "a" in renamed else folder / "a.png", folder / "more.png")
    report = index_folder(folder, collection, encoder, batch_size=batch_size)
    assert (report.added, report.renewed, report.gone) == (1, len(renamed), 0)
    expected = {f"new-{name}.png" if name in renamed else f"{name}.png" for name in "abc"}
    assert set(collection) == expected | {"more.png"}


def test_what_keeps_rows_embeds_moved_photos_again(
    photos: Path, tmp_path: Path, model: Path, encoder: PhotoEncoder
) -> None:
    with open_collection(tmp_path / "k.h2q", n_bits=16, model=model, keep="scale") as collection:
        index_folder(photos, collection, encoder)
        (photos / "top1.png").rename(photos / "renamed.png")
        report = index_folder(photos, collection, encoder)
        assert (report.added, report.renewed, report.gone) == (0, 1, 0)
        assert "top1.png" not in collection
        assert len(collection) == 12


def test_photos_that_are_gone_are_counted(
    photos: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    index_folder(photos, collection, encoder)
    (photos / "top1.png").unlink()
    assert index_folder(photos, collection, encoder).gone == 1
    report = index_folder(photos, collection, encoder, prune=True)
    assert (report.gone, report.removed) == (0, 1)


def test_what_is_no_readable_photo_is_told_by_name(
    photos: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    for name in ("IMG_1.CR2", "IMG_2.cr2", "film.MOV", "film2.mov", "list.txt", "art.psd"):
        (photos / name).write_bytes(b"x")
    report = index_folder(photos, collection, encoder)
    assert report.added == 12
    assert sorted(Path(each.path).name for each in report.skipped) == [
        "IMG_1.CR2",
        "IMG_2.cr2",
        "art.psd",
    ]
    assert "RAW" in report.skipped[0].reason
    assert report.passed_over == {".mov": 2}
    for path in photos.rglob("*.[pj][np]g"):
        path.unlink()
    with pytest.raises(InvalidInputError, match=r"no image.*but .*2 \.cr2"):
        index_folder(photos, collection, encoder)


def test_one_odd_picture_is_not_the_end(
    photos: Path, collection: Collection, encoder: PhotoEncoder
) -> None:
    class Picky(Counting):
        def prepare(self, image: Image.Image) -> object:
            if image.width == 13:
                raise MemoryError("78 GB")
            return self._encoder.prepare(image)

    Image.new("RGB", (13, 13)).save(photos / "odd.png")
    report = index_folder(photos, collection, Picky(encoder))  # type: ignore[arg-type]
    assert counts(report)[0] == 12
    assert "78 GB" in report.skipped[0].reason
