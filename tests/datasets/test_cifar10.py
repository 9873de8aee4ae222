"""CIFAR-10 in each form it is shipped in, as tiny copies, and the real one where it is at hand."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h2q.datasets import load_dataset
from h2q.errors import FormatError, InvalidInputError

N = 20  # images of each of the six batches
SMALL = {"per_class": {"train": 3, "validation": 2, "query": 2}, "check_counts": False}


@pytest.fixture(scope="module")
def original():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6 * N, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(6 * N) % 10
    return pixels, labels


def batches(original):
    pixels, labels = original
    planes = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for i, name in enumerate(names):
        yield name, planes[i * N : (i + 1) * N], labels[i * N : (i + 1) * N]


def python2_pickle(rows: np.ndarray, labels) -> bytes:
    """Write the opcodes that Python 2's cPickle wrote: byte strings, numpy's old module name."""

    def text(value: bytes) -> bytes:
        short = len(value) < 256
        return (
            b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<i", len(value))
        ) + value

    def integer(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    shape = b"(" + b"".join(integer(n) for n in rows.shape) + b"t"
    dtype = b"cnumpy\ndtype\n(" + text(b"u1") + integer(0) + integer(1) + b"tR"
    dtype += (
        b"(" + integer(3) + text(b"|") + b"NNN" + integer(-1) + integer(-1) + integer(0) + b"tb"
    )
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n("
    array += integer(0) + b"t" + text(b"b") + b"tR"
    array += b"(" + integer(1) + shape + dtype + b"\x89" + text(rows.tobytes()) + b"tb"
    listed = b"](" + b"".join(integer(int(v)) for v in labels) + b"e"
    body = text(b"data") + array + text(b"labels") + listed
    return b"\x80\x02}(" + body + b"u."


def write_python(folder: Path, original, dump) -> Path:
    folder = folder / "cifar-10-batches-py"
    folder.mkdir()
    for name, rows, labels in batches(original):
        (folder / name).write_bytes(dump(rows, labels))
    return folder


def write_binary(folder: Path, original) -> Path:
    folder = folder / "cifar-10-batches-bin"
    folder.mkdir()
    for name, rows, labels in batches(original):
        (folder / f"{name}.bin").write_bytes(
            np.c_[labels.astype(np.uint8), rows].astype(np.uint8).tobytes()
        )
    return folder


def write_sheets(folder: Path, original) -> Path:
    pixels, labels = original
    grid = np.zeros((1000, 32, 32, 3), dtype=np.uint8)
    grid[: len(pixels)] = pixels
    sheet = grid.reshape(25, 40, 32, 32, 3).swapaxes(1, 2).reshape(25 * 32, 40 * 32, 3)
    Image.fromarray(sheet).save(folder / "sheet_00.webp", lossless=True)
    (folder / "labels.txt").write_text("\n".join(map(str, labels)))
    return folder


def modern_pickle(rows, labels) -> bytes:
    return pickle.dumps({b"data": rows, b"labels": labels.tolist(), b"batch_label": b"x"}, 2)


FORMS = {
    "python 2 pickles": lambda f, o: write_python(f, o, python2_pickle),
    "python 3 pickles": lambda f, o: write_python(f, o, modern_pickle),
    "binary": write_binary,
    "sheets": write_sheets,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("packed", [False, True])
def test_every_form_gives_the_same_images(tmp_path, original, form, packed):
    path = FORMS[form](tmp_path, original)
    if packed:
        archive = tmp_path / "cifar.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(path, arcname="cifar")
        path = archive
    data = load_dataset(f"cifar10:{path}", **SMALL)
    sizes = {split: len(items) for split, items in data.splits()}
    assert sizes == {"train": 30, "validation": 20, "query": 20, "database": 50}
    pixels, labels = original
    seen = []
    for _, items in data.splits():
        for i, name in enumerate(items.ids):
            number = int(name.removeprefix("cifar10-"))
            seen.append(number)
            assert items.labels[i] == labels[number]
            np.testing.assert_array_equal(np.asarray(items.images[i]), pixels[number])
    assert sorted(seen) == list(range(6 * N))
    assert np.bincount(data.train.labels).tolist() == [3] * 10


def test_counts_are_checked(tmp_path, original):
    path = write_binary(tmp_path, original)
    with pytest.raises(InvalidInputError, match="6,000 of each"):
        load_dataset(f"cifar10:{path}")
    too_many = {"per_class": {"train": 20}, "check_counts": False}
    with pytest.raises(InvalidInputError, match="the split takes 20"):
        load_dataset(f"cifar10:{path}", **too_many)


def test_missing_and_damaged_files_say_what_to_do(tmp_path, original):
    path = write_binary(tmp_path, original)
    data = (path / "test_batch.bin").read_bytes()
    (path / "test_batch.bin").write_bytes(data[:-5])
    with pytest.raises(FormatError, match=r"test_batch\.bin has .* truncated"):
        load_dataset(f"cifar10:{path}", **SMALL)
    (path / "test_batch.bin").unlink()
    with pytest.raises(InvalidInputError, match=r"lacks test_batch\.bin.*cs\.toronto\.edu"):
        load_dataset(f"cifar10:{path}", **SMALL)
    text = tmp_path / "notes.txt"
    text.write_text("not an archive")
    with pytest.raises(FormatError, match="not a folder or a tar archive"):
        load_dataset(f"cifar10:{text}", **SMALL)


class Runs:
    """Pickles to a call of os.system."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_hostile_pickle_runs_nothing(tmp_path, original):
    path = write_python(tmp_path, original, python2_pickle)
    canary = tmp_path / "canary"
    (path / "data_batch_1").write_bytes(pickle.dumps(Runs(f"touch {canary}")))
    with pytest.raises(FormatError, match="which plain data never does"):
        load_dataset(f"cifar10:{path}", **SMALL)
    assert not canary.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02}q\x00",
        pickle.dumps([1, 2], 2),
        pickle.dumps({b"data": b"x", b"labels": [1]}, 2),
        pickle.dumps({b"data": np.zeros((1, 3072)), b"labels": [1]}, 2),
        python2_pickle(np.zeros((1, 3072), np.uint8), [1])[:-400],
    ],
)
def test_other_pickles_are_format_errors(tmp_path, original, data):
    path = write_python(tmp_path, original, python2_pickle)
    (path / "data_batch_3").write_bytes(data)
    with pytest.raises(FormatError, match="data_batch_3"):
        load_dataset(f"cifar10:{path}", **SMALL)


def test_sheets_and_labels_must_agree(tmp_path, original):
    path = write_sheets(tmp_path, original)
    (path / "labels.txt").write_text("0\n" * 1200)
    with pytest.raises(FormatError, match="1000 tiles for 1200 labels"):
        load_dataset(f"cifar10:{path}", **SMALL)
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "WEBP")
    (path / "sheet_00.webp").write_bytes(buffer.getvalue())
    with pytest.raises(FormatError, match="expected"):
        load_dataset(f"cifar10:{path}", **SMALL)


@pytest.mark.shared
@pytest.mark.slow
def test_the_real_images_in_the_paper_split(shared):
    data = load_dataset(f"cifar10:{shared / 'data' / 'cifar10.tar'}")
    sizes = {split: len(items) for split, items in data.splits()}
    assert sizes == {"train": 5000, "validation": 1000, "query": 1000, "database": 53000}
    for _, items in data.splits():
        assert len(set(np.bincount(items.labels))) == 1
    # The first training image of CIFAR-10 is a frog, the first test image a cat.
    first = {name: items for _, items in data.splits() for name in items.ids}
    frog, cat = first["cifar10-00000"], first["cifar10-50000"]
    assert data.classes[frog.labels[frog.ids.index("cifar10-00000")]] == "frog"
    assert data.classes[cat.labels[cat.ids.index("cifar10-50000")]] == "cat"
