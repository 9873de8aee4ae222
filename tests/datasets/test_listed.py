"""ImageNet-100, COCO and NUS-WIDE from tiny copies in their publishers' layouts."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h2q.datasets import load_dataset
from h2q.datasets.hashing_lists import read_list
from h2q.errors import FormatError, InvalidInputError

LOOSE = {"check_counts": False}


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (3, 3)).save(path)


def write_list(path: Path, rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name} {' '.join(map(str, label))} \n" for name, label in rows))


def hot(n, *classes):
    return [int(c in classes) for c in range(n)]


# ImageNet-100


def imagenet(root: Path, layout: str) -> Path:
    """Write six training images of three classes and four validation images."""
    prefix = "/home/someone/dataset/imagenet"
    train = [(f"n0000000{c}_{i}.JPEG", c) for c in range(3) for i in range(4)]
    val = [(f"ILSVRC2012_val_{i:08d}.JPEG", i % 3) for i in range(6)]
    for name, _ in train:
        synset = name.split("_")[0]
        image(root / {"packed": "image", "official": f"train/{synset}"}[layout] / name)
    for name, _ in val:
        image(root / {"packed": "val_image", "official": "val"}[layout] / name)
    database = [(f"{prefix}/image/{name}", hot(100, c)) for name, c in train]
    write_list(root / "database.txt", database)
    write_list(root / "train.txt", database[::2])
    write_list(root / "test.txt", [(f"{prefix}/val_image/{n}", hot(100, c)) for n, c in val])
    return root


@pytest.mark.parametrize("layout", ["packed", "official"])
def test_imagenet_lists_find_images_and_alternate_query_and_validation(tmp_path, layout):
    data = load_dataset(f"imagenet100:{imagenet(tmp_path, layout)}", **LOOSE)
    assert not data.is_multilabel
    assert data.classes[:4] == ["n00000000", "n00000001", "n00000002", "class-3"]
    assert [name[-6] for name in data.query.ids] == ["0", "2", "4"]
    assert [name[-6] for name in data.validation.ids] == ["1", "3", "5"]
    assert len(data.train) == 6
    assert len(data.database) == 12
    assert data.notes == ("6 of the training images are in the database",)
    for _, items in data.splits():
        assert items.images[0].size == (3, 3)
    for name, label in zip(data.train.ids, data.train.labels, strict=True):
        assert name.startswith(f"n0000000{label}")


def test_missing_images_are_listed_or_skipped(tmp_path):
    root = imagenet(tmp_path, "packed")
    (root / "image" / "n00000001_3.JPEG").unlink()
    with pytest.raises(InvalidInputError, match=r"1 images are missing(.|\n)*n00000001_3"):
        load_dataset(f"imagenet100:{root}", **LOOSE)
    data = load_dataset(f"imagenet100:{root}", allow_missing=True, **LOOSE)
    assert len(data.skipped) == 1
    assert len(data.database) == 11


def test_imagenet_counts_and_layout_are_explained(tmp_path):
    with pytest.raises(InvalidInputError, match=r"train\.txt holds 6 items, the published"):
        load_dataset(f"imagenet100:{imagenet(tmp_path, 'packed')}")
    (tmp_path / "test.txt").unlink()
    with pytest.raises(InvalidInputError, match=r"no lists in .*thuml/HashNet"):
        load_dataset(f"imagenet100:{tmp_path}")


@pytest.mark.parametrize("line", ["a.jpg 0 1", "a.jpg 0 1 2", "a.jpg 0 1 0 1", "a.jpg", "0 1 0 10"])
def test_malformed_lines_are_named(tmp_path, line):
    path = tmp_path / "train.txt"
    path.write_text(f"b.jpg 0 0 1\n{line}\n")
    with pytest.raises(FormatError, match=r"train\.txt, line 2: expected a path and 3 labels"):
        read_list(path, 3)


def test_an_empty_list_is_refused(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("\n\n")
    with pytest.raises(FormatError, match="empty"):
        read_list(path, 3)


# MS COCO


def coco(root: Path, n_train=20, n_val=10) -> Path:
    categories = [{"id": c, "name": f"thing{c}"} for c in (1, 2, 4)]
    number = 0
    for part, n in (("train2014", n_train), ("val2014", n_val)):
        images, annotations = [], []
        for _ in range(n):
            number += 1
            name = f"COCO_{part}_{number:012d}.jpg"
            image(root / part / name)
            images.append({"id": number, "file_name": name})
            for category in (1, 2, 4)[: number % 4]:
                box = {"image_id": number, "category_id": category}
                annotations += [box, box]
        file = root / "annotations" / f"instances_{part}.json"
        file.parent.mkdir(exist_ok=True)
        content = {"images": images, "annotations": annotations, "categories": categories}
        file.write_text(json.dumps(content))
    return root


def test_coco_pools_labelled_images_and_draws_the_split(tmp_path):
    sizes = {"train": 6, "validation": 3, "query": 4}
    data = load_dataset(f"coco:{coco(tmp_path)}", sizes=sizes, **LOOSE)
    assert {s: len(items) for s, items in data.splits()} == {**sizes, "database": 10}
    assert data.classes == ["thing1", "thing2", "thing4"]
    assert data.notes == ("7 images without an annotated object were left out",)
    for _, items in data.splits():
        for name, label in zip(items.ids, items.labels, strict=True):
            count = int(name[-16:-4]) % 4
            assert label.tolist() == [int(j < count) for j in range(3)]
        assert items.images[0].size == (3, 3)


def test_coco_counts_and_annotations_are_checked(tmp_path):
    with pytest.raises(InvalidInputError, match="neither annotations nor lists"):
        load_dataset(f"coco:{tmp_path}")
    root = coco(tmp_path)
    with pytest.raises(InvalidInputError, match="the annotations holds 23 items"):
        load_dataset(f"coco:{root}")
    with pytest.raises(InvalidInputError, match="the split takes 20000"):
        load_dataset(f"coco:{root}", **LOOSE)
    (root / "annotations" / "instances_val2014.json").write_text('{"images": []}')
    with pytest.raises(FormatError, match="not a COCO annotation file"):
        load_dataset(f"coco:{root}", **LOOSE)


def test_coco_lists_lose_their_queries_from_the_database(tmp_path):
    names = [f"./data/coco/train2014/COCO_train2014_{i:012d}.jpg" for i in range(20)]
    for name in names:
        image(tmp_path / "train2014" / name.split("/")[-1])
    rows = [(name, hot(80, i % 7, i % 5)) for i, name in enumerate(names)]
    write_list(tmp_path / "train.txt", rows[:6])
    write_list(tmp_path / "test.txt", rows[6:10])
    write_list(tmp_path / "database.txt", rows[6:])
    data = load_dataset(f"coco:{tmp_path}", sizes={"validation": 3}, **LOOSE)
    sizes = {split: len(items) for split, items in data.splits()}
    assert sizes == {"train": 6, "validation": 3, "query": 4, "database": 7}
    assert data.notes[0] == "4 queries listed in the database were left out"
    ids = [name for _, items in data.splits() for name in items.ids]
    assert len(set(ids)) == len(ids) == 20


# NUS-WIDE


def nuswide(root: Path, n=60, images="images") -> Path:
    rng = np.random.default_rng(0)
    labels = np.zeros((n, 25), dtype=int)
    labels[np.arange(n), rng.integers(0, 21, n)] = 1
    labels[rng.integers(0, n, 30), rng.integers(0, 21, 30)] = 1
    labels[0] = hot(25, 23)  # only a rare concept
    labels[1] = 0
    lines = []
    for i in range(n):
        folder, name = f"concept{i % 3}", f"{i:04d}_{i}.jpg"
        lines.append(f"{folder}\\{name}")
        image(root / "images" / name if images == "images" else root / "Flickr" / folder / name)
    (root / "ImageList").mkdir()
    (root / "ImageList" / "Imagelist.txt").write_text("\r\n".join(lines) + "\r\n")
    (root / "Groundtruth" / "AllLabels").mkdir(parents=True)
    for j in range(25):
        text = "\n".join(str(v) for v in labels[:, j])
        (root / "Groundtruth" / "AllLabels" / f"Labels_c{j:02d}.txt").write_text(text)
    return root


SMALL_NUS = {"sizes": {"train": 10, "validation": 5, "query": 5}, "check_counts": False}


@pytest.mark.parametrize("images", ["images", "Flickr"])
def test_nuswide_takes_the_frequent_concepts_of_the_images_at_hand(tmp_path, images):
    root = nuswide(tmp_path, images=images)
    next(iter(sorted(root.glob("*/**/0007_7.jpg")))).unlink()
    data = load_dataset(f"nuswide21:{root}", **SMALL_NUS)
    ids = {name for _, items in data.splits() for name in items.ids}
    assert len(ids) == 57
    assert not {"0000_0.jpg", "0001_1.jpg", "0007_7.jpg"} & ids
    assert data.classes == [f"c{j:02d}" for j in range(21)]
    assert data.notes == ("57 of 58 images with one of the 21 concepts are at hand",)
    for _, items in data.splits():
        assert items.labels.any(axis=1).all()
        assert items.images[0].size == (3, 3)


def test_nuswide_lists_draw_validation_from_the_database(tmp_path):
    rows = [(f"images/{i:04d}_{i}.jpg", hot(21, i % 21)) for i in range(40)]
    for name, _ in rows:
        image(tmp_path / name)
    write_list(tmp_path / "train.txt", rows[:10])
    write_list(tmp_path / "test.txt", rows[10:15])
    write_list(tmp_path / "database.txt", rows[:10] + rows[15:])
    data = load_dataset(f"nuswide21:{tmp_path}", sizes={"validation": 6}, **LOOSE)
    sizes = {split: len(items) for split, items in data.splits()}
    assert sizes == {"train": 10, "validation": 6, "query": 5, "database": 29}
    assert not set(data.validation.ids) & (set(data.train.ids) | set(data.database.ids))


def test_nuswide_bad_files(tmp_path):
    with pytest.raises(InvalidInputError, match="neither labels nor lists"):
        load_dataset(f"nuswide21:{tmp_path}")
    root = nuswide(tmp_path)
    with pytest.raises(InvalidInputError, match=r"Imagelist\.txt holds 60 items"):
        load_dataset(f"nuswide21:{root}")
    (root / "Groundtruth" / "AllLabels" / "Labels_c03.txt").write_text("0 1 1")
    with pytest.raises(FormatError, match=r"Labels_c03\.txt must hold 0 or 1 for each of 60"):
        load_dataset(f"nuswide21:{root}", **SMALL_NUS)


# The real lists


@pytest.fixture(scope="module")
def real_lists(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lists")
    with tarfile.open(shared / "data" / "hashing_lists.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.mark.shared
@pytest.mark.slow
def test_real_hashnet_lists(real_lists, tmp_path):
    (tmp_path / "photos").mkdir()
    spec, lists = f"imagenet100:{tmp_path / 'photos'}", real_lists / "hashnet" / "caffe_imagenet"
    data = load_dataset(spec, lists=lists, verify="none")
    sizes = {split: len(items) for split, items in data.splits()}
    assert sizes == {"train": 13000, "validation": 2500, "query": 2500, "database": 128503}
    assert all(name.startswith("n0") or name.startswith("n1") for name in data.classes)
    assert len(set(data.classes)) == 100
    with pytest.raises(InvalidInputError, match="images are missing"):
        load_dataset(spec, lists=lists)

    spec, lists = f"coco:{tmp_path / 'photos'}", real_lists / "hashnet" / "caffe_coco"
    data = load_dataset(spec, lists=lists, verify="none")
    sizes = {split: len(items) for split, items in data.splits()}
    # With the 5,000 queries out of the database, the paper's sizes: 122,218 images in all.
    assert sizes == {"train": 10000, "validation": 5000, "query": 5000, "database": 102218}


@pytest.mark.shared
@pytest.mark.slow
def test_other_published_lists_are_read(real_lists):
    folder = real_lists / "deephash_pytorch" / "nuswide_21"
    for name, count in (("train.txt", 10_500), ("test.txt", 2_100)):
        paths, labels = read_list(folder / name, 21)
        assert labels.shape == (count, 21)
        assert len(set(paths)) == count
        assert labels.any(axis=1).all()
    _, labels = read_list(real_lists / "hashnet" / "pytorch_nuswide_81" / "train.txt", 81)
    assert labels.shape == (10_000, 81)
