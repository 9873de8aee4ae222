"""CSV files of image paths and labels."""

from __future__ import annotations

import csv
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h2q.datasets import load_dataset
from h2q.errors import FormatError, InvalidInputError


def write(folder: Path, rows, header=("path", "label"), *, images=True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if images:
        for i, row in enumerate(rows):
            Image.new("RGB", (4, 4), (i * 9 % 256, 0, 0)).save(folder / row[0])
    path = folder / "labels.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def many(n=20, **extra):
    return [(f"{i}.png", "ab"[i % 2], *extra.get("more", ())) for i in range(n)]


def test_single_labels_are_split_with_the_seed(tmp_path):
    data = load_dataset(str(write(tmp_path, many())))
    assert data.classes == ["a", "b"]
    sizes = [len(items) for _, items in data.splits()]
    assert sizes == [10, 2, 2, 6]
    first = data.train.ids[0]
    assert data.train.labels[0] == int(first.split(".")[0]) % 2
    with Image.open(tmp_path / first) as image:
        np.testing.assert_array_equal(np.asarray(data.train.images[0]), np.asarray(image))


@pytest.mark.parametrize("separator", [";", "|", " ; "])
def test_several_labels_make_it_multi_hot(tmp_path, separator):
    rows = [(f"{i}.png", separator.join("abc"[: i % 4])) for i in range(24)]
    data = load_dataset(f"csv:{write(tmp_path, rows, ('path', 'labels'))}")
    assert data.is_multilabel
    assert data.classes == ["a", "b", "c"]
    for _, items in data.splits():
        for name, label in zip(items.ids, items.labels, strict=True):
            assert label.sum() == int(name.split(".")[0]) % 4


def test_given_split_and_other_columns_are_respected(tmp_path):
    rows = [(f"{i}.png", "x", "train" if i < 6 else "test", i) for i in range(8)]
    header = ("path", "label", "fold", "other")
    path = write(tmp_path, rows, header)
    data = load_dataset(str(path), split_column="fold", validation=0.0)
    assert data.query.ids == ["6.png", "7.png"]
    assert data.database.ids == data.train.ids == [f"{i}.png" for i in range(6)]
    assert len(data.validation) == 0


def test_unreadable_images_are_listed_and_skipped(tmp_path):
    rows = many()
    path = write(tmp_path, rows)
    (tmp_path / "0.png").unlink()
    (tmp_path / "1.png").write_text("no image")
    data = load_dataset(str(path))
    assert sum(len(items) for _, items in data.splits()) == 18
    assert len(data.skipped) == 2
    assert "0.png" in data.skipped[0]
    assert "no such file" in data.skipped[0]
    assert "1.png" in data.skipped[1]


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (many(), ("file", "label"), "no column 'path'"),
        (many(), ("path", "class"), "no column 'label'"),
        ([("0.png", " ")], ("path", "label"), "line 2: the label is empty"),
        ([("0.png", "a"), ("0.png", "b")], ("path", "label"), "occurs more than once"),
        ([], ("path", "label"), "no rows"),
        ([("0.png", "a", "somewhere")], ("path", "label", "split"), "unknown split 'somewhere'"),
    ],
)
def test_bad_tables(tmp_path, rows, header, message):
    with pytest.raises(InvalidInputError, match=message):
        load_dataset(str(write(tmp_path, rows, header)))


def test_all_images_missing_and_unknown_split_column(tmp_path):
    path = write(tmp_path, many(), images=False)
    with pytest.raises(InvalidInputError, match="none of its images"):
        load_dataset(str(path))
    with pytest.raises(InvalidInputError, match="no column 'fold'"):
        load_dataset(str(path), split_column="fold")
    with pytest.raises(InvalidInputError, match="verify must be one of"):
        load_dataset(str(path), verify="sometimes")


def test_malformed_files(tmp_path):
    path = write(tmp_path, many())
    path.write_text("path,label\n0.png,a,extra\n")
    with pytest.raises(FormatError, match="line 2"):
        load_dataset(str(path))
    path.write_bytes(b"path,label\n0.png,\xff\xfe\n")
    with pytest.raises(FormatError, match="not UTF-8"):
        load_dataset(str(path))


@pytest.mark.shared
@pytest.mark.slow
def test_caltech101_reads_after_unpacking(shared, tmp_path):
    with tarfile.open(shared / "data" / "caltech101.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    drawn = load_dataset(str(tmp_path / "labels.csv"))
    assert drawn.summary()["classes"] == 101
    assert drawn.skipped == ()
    assert sum(len(items) for _, items in drawn.splits()) == 3030
    given = load_dataset(str(tmp_path / "labels.csv"), split_column="repo_split", validation=0.2)
    assert len(given.train) + len(given.validation) + len(given.query) == 3030
    assert given.train.images[0].mode == "RGB"
