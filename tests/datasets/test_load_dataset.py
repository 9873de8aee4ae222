"""One door to every data set: names, paths, options, and what the errors say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h2q.datasets import list_datasets, load_dataset
from h2q.errors import FormatError, InvalidInputError


def image_folder(root: Path, per_class: int = 10) -> Path:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for i in range(per_class):
            pixels = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def split_ids(dataset):
    return {split: items.ids for split, items in dataset.splits()}


def test_digits_are_split_once_and_stratified():
    data = load_dataset("digits", random_state=3)
    ids = [i for _, items in data.splits() for i in items.ids]
    assert len(ids) == len(set(ids)) == 1797
    for _, items in data.splits():
        counts = np.bincount(items.labels, minlength=10)
        assert counts.max() - counts.min() <= 0.2 * counts.mean()
    image = data.train.images[0]
    assert image.size == (8, 8)
    assert image.mode == "L"
    assert max(np.asarray(data.train.images[i]).max() for i in range(20)) == 255


def test_the_seed_decides_the_split():
    assert split_ids(load_dataset("digits")) == split_ids(load_dataset("digits", random_state=0))
    assert split_ids(load_dataset("digits")) != split_ids(load_dataset("digits", random_state=1))


def test_folder_reads_images_and_gives_relative_ids(tmp_path):
    data = load_dataset(f"folder:{image_folder(tmp_path / 'photos')}")
    assert data.classes == ["cat", "dog"]
    sizes = {split: len(items) for split, items in data.splits()}
    assert sizes == {"train": 10, "validation": 2, "query": 2, "database": 6}
    name, label = data.train.ids[0], data.train.labels[0]
    assert name.split("/")[0] == data.classes[label]
    with Image.open(tmp_path / "photos" / name) as expected:
        np.testing.assert_array_equal(np.asarray(data.train.images[0]), np.asarray(expected))
    assert split_ids(load_dataset(str(tmp_path / "photos"))) == split_ids(data)


def test_folder_lists_what_it_skips(tmp_path):
    root = image_folder(tmp_path / "photos")
    (root / "cat" / "text.jpg").write_text("this is no photo")
    (root / "stray.png").write_bytes((root / "cat" / "0.png").read_bytes())
    data = load_dataset(str(root))
    assert data.summary()["skipped"] == 2
    assert any("text.jpg" in line for line in data.skipped)
    assert any("stray.png" in line and "no class folder" in line for line in data.skipped)
    assert sum(len(items) for _, items in data.splits()) == 20


def test_full_verification_finds_a_truncated_image(tmp_path):
    root = image_folder(tmp_path / "photos")
    whole = Image.effect_noise((64, 64), 50)
    whole.save(root / "dog" / "cut.jpg")
    (root / "dog" / "cut.jpg").write_bytes((root / "dog" / "cut.jpg").read_bytes()[:900])
    assert load_dataset(str(root)).skipped == ()
    (reason,) = load_dataset(str(root), verify="full").skipped
    assert "cut.jpg" in reason


def test_folder_with_an_empty_class_is_refused(tmp_path):
    root = image_folder(tmp_path / "photos")
    (root / "bird").mkdir()
    with pytest.raises(InvalidInputError, match="bird"):
        load_dataset(str(root))


def test_folder_without_classes_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="no class folders"):
        load_dataset(str(tmp_path))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digit", "did you mean 'digits'"),
        ("fodler:photos", "did you mean 'folder'"),
        ("folder:", "folder:PATH"),
        ("folder:nowhere", "there is no 'nowhere'"),
        ("digits:here", "takes no path"),
        ("nowhere.npz", "no data set"),
    ],
)
def test_unknown_specs_name_the_remedy(spec, message):
    with pytest.raises(InvalidInputError, match=message):
        load_dataset(spec)


def test_unknown_option_names_the_nearest(tmp_path):
    with pytest.raises(InvalidInputError, match="did you mean 'fractions'"):
        load_dataset(str(image_folder(tmp_path / "photos")), fraction={"train": 1.0})


def test_every_entry_can_be_printed():
    entries = list_datasets()
    assert {"digits", "folder", "npz"} <= {entry.name for entry in entries}
    for entry in entries:
        assert entry.description
        assert "\n" not in entry.description
        assert entry.usage.startswith(entry.name)


def test_datasets_import_no_torch():
    code = (
        "import sys, h2q.datasets as d; d.load_dataset('digits'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# .npz


def write_npz(path: Path, **arrays) -> Path:
    rng = np.random.default_rng(0)
    base = {"features": rng.standard_normal((20, 5)), "labels": np.arange(20) % 3}
    np.savez(path, **{k: v for k, v in (base | arrays).items() if v is not None})
    return path


def test_npz_without_split_is_split_with_the_seed(tmp_path):
    data = load_dataset(str(write_npz(tmp_path / "f.npz")))
    assert data.classes == ["0", "1", "2"]
    assert data.train.features.dtype == np.float32
    assert sum(len(items) for _, items in data.splits()) == 20


def test_npz_split_is_kept_and_completed(tmp_path):
    split = np.array(["train"] * 10 + ["test"] * 4 + ["db"] * 6)
    path = write_npz(tmp_path / "f.npz", split=split)
    data = load_dataset(f"npz:{path}", validation=0.3)
    assert data.query.ids == [str(i) for i in range(10, 14)]
    assert data.database.ids == [str(i) for i in range(14, 20)]
    assert len(data.validation) == 3
    assert set(data.train.ids) | set(data.validation.ids) == {str(i) for i in range(10)}
    assert len(load_dataset(str(path), validation=0.0).train) == 10


def test_npz_without_database_searches_the_training_rows(tmp_path):
    path = write_npz(tmp_path / "f.npz", split=np.array(["train"] * 15 + ["query"] * 5))
    data = load_dataset(str(path))
    assert data.database.ids == [str(i) for i in range(15)]


def test_npz_multi_hot_packed_plain_and_text(tmp_path):
    rng = np.random.default_rng(1)
    hot = (rng.random((20, 11)) < 0.4).astype(np.uint8)
    words = np.array([f"w{j}" for j in range(11)])
    packed = load_dataset(
        str(write_npz(tmp_path / "p.npz", labels=np.packbits(hot, axis=1), words=words))
    )
    plain = load_dataset(str(write_npz(tmp_path / "q.npz", labels=hot)))
    assert packed.is_multilabel
    assert packed.classes[3] == "w3"
    np.testing.assert_array_equal(packed.train.labels, plain.train.labels)
    rows = [int(i) for i in packed.train.ids]
    np.testing.assert_array_equal(packed.train.labels, hot[rows])
    names = np.array(["b", "a"] * 10)
    text = load_dataset(str(write_npz(tmp_path / "r.npz", labels=names)))
    assert text.classes == ["a", "b"]
    assert text.train.labels[0] == (int(text.train.ids[0]) + 1) % 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"features": None}, "has no 'features'"),
        ({"labels": None}, "has no 'labels'"),
        ({"features": np.full((20, 5), np.nan)}, "20 rows are not finite"),
        ({"features": np.zeros((20, 5, 2))}, "expected real rows"),
        ({"features": np.zeros((19, 5))}, "different number"),
        ({"labels": np.arange(20) - 1}, "1 of 20 rows have no label"),
        ({"labels": np.arange(20), "n_classes": np.array(7)}, "out of range"),
        ({"labels": np.linspace(0, 1, 20)}, "is a float"),
        ({"labels": np.full((20, 2), 255, np.uint8)}, "n_classes"),
        ({"labels": np.full((20, 1), 255, np.uint8), "n_classes": np.array(7)}, "beyond the 7"),
        ({"ids": np.array(["a", "b"] * 10)}, "ids are not unique"),
        ({"split": np.array(["train"] * 20)}, "names no query"),
        ({"split": np.array(["train", "tets"] * 10)}, "unknown split 'tets'"),
        ({"split": np.array(["train", "query"])}, "2 split names for 20 labels"),
    ],
)
def test_npz_bad_input(tmp_path, arrays, message):
    with pytest.raises(InvalidInputError, match=message):
        load_dataset(str(write_npz(tmp_path / "f.npz", **arrays)))


def test_npz_damaged_or_pickled_is_a_format_error(tmp_path):
    path = write_npz(tmp_path / "f.npz")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(FormatError, match=r"f\.npz"):
        load_dataset(str(path))
    pickled = tmp_path / "p.npz"
    np.savez(pickled, features=np.array([{}, {}], dtype=object), labels=np.zeros(2, int))
    with pytest.raises(FormatError, match="pickled objects"):
        load_dataset(str(pickled))


@pytest.mark.shared
def test_npz_reads_the_multi_label_features(shared):
    data = load_dataset(str(shared / "data" / "features_corel5k.npz"))
    assert data.summary()["classes"] == 81
    assert data.is_multilabel
    assert data.train.features.shape == (1800, 256)
    assert data.train.labels.any(axis=1).all()
