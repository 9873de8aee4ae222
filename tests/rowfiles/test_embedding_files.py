from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h2q.codes import pack, save_codes
from h2q.datasets import load_dataset
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles import Embeddings, load_embeddings, save_embeddings
from h2q.rowfiles.embeddings import is_codes_file

ROWS = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)


def test_round_trip(tmp_path: Path) -> None:
    path = save_embeddings(
        tmp_path / "e.npz",
        Embeddings(
            ROWS,
            list("abcdef"),
            np.array([0, 1, 0, 1, 0, 1]),
            ["cat", "dog"],
            np.array(["train"] * 4 + ["query", "database"]),
        ),
    )
    back = load_embeddings(path)
    np.testing.assert_array_equal(back.rows, ROWS)
    assert back.ids == list("abcdef")
    assert back.classes == ["cat", "dog"]
    assert back.part("train").ids == list("abcd")
    assert len(back.part("all").rows) == 6
    with pytest.raises(InvalidInputError, match="no rows in the split 'validation'"):
        back.part("validation")


def test_labelled_file_is_a_data_set(tmp_path: Path) -> None:
    labels = np.repeat([0, 1], 20)
    split = np.tile(["train", "train", "query", "database"], 10)
    rows = np.random.default_rng(0).standard_normal((40, 3))
    path = save_embeddings(
        tmp_path / "e.npz",
        Embeddings(rows, [f"i{i}" for i in range(40)], labels, ["cat", "dog"], split),
    )
    dataset = load_dataset(f"npz:{path}", validation=0.0)
    assert dataset.classes == ["cat", "dog"]
    assert len(dataset.train) == 20
    assert dataset.query.ids[0] == "i2"


def test_npy_is_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", ROWS)
    loaded = load_embeddings(tmp_path / "e.npy")
    assert isinstance(loaded.rows, np.memmap)
    assert loaded.ids == ["0", "1", "2", "3", "4", "5"]


def test_key(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", cel_16=ROWS, dch_16=-ROWS, labels=np.zeros(6, int))
    with pytest.raises(InvalidInputError, match=r"several.*cel_16, dch_16"):
        load_embeddings(tmp_path / "two.npz")
    assert load_embeddings(tmp_path / "two.npz", key="dch_16").rows[0, 0] == -ROWS[0, 0]
    with pytest.raises(InvalidInputError, match="no array 'cel_32'"):
        load_embeddings(tmp_path / "two.npz", key="cel_32")
    np.savez(tmp_path / "one.npz", whatever=ROWS)
    assert load_embeddings(tmp_path / "one.npz").rows.shape == (6, 4)


def test_packed_multi_hot_labels(tmp_path: Path) -> None:
    hot = np.random.default_rng(0).integers(0, 2, (6, 11), dtype=np.uint8)
    np.savez(
        tmp_path / "m.npz",
        features=ROWS,
        labels=np.packbits(hot, axis=1),
        words=np.array([f"w{i}" for i in range(11)]),
    )
    np.testing.assert_array_equal(load_embeddings(tmp_path / "m.npz").labels, hot)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"features": ROWS[0]}, "no two-dimensional"),
        ({"features": ROWS, "ids": np.array(["a"])}, "6 rows .* but 1 ids"),
        ({"features": ROWS, "labels": np.zeros(5, int)}, "but 5 labels"),
        ({"x": np.zeros((3, 3), np.uint8)}, "no two-dimensional"),
    ],
)
def test_unusable_arrays(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InvalidInputError, match=message):
        load_embeddings(tmp_path / "bad.npz")


def test_codes_are_not_taken_for_embeddings(tmp_path: Path) -> None:
    np.save(tmp_path / "codes.npy", pack(ROWS))
    with pytest.raises(InvalidInputError, match="packed codes"):
        load_embeddings(tmp_path / "codes.npy")
    save_codes(tmp_path / "codes.npz", pack(ROWS), 4)
    assert is_codes_file(tmp_path / "codes.npz")
    assert not is_codes_file(tmp_path / "codes.npy")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_flipped_bit_in_an_archive_is_seen(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "e.npz"
    rows = np.random.default_rng(0).standard_normal((100, 16)).astype(np.float32)
    save(path, embeddings=rows)
    data = bytearray(path.read_bytes())
    data[3000] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"e\.npz.*damaged"):
        load_embeddings(path)


def test_damaged_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", features=ROWS)
    data = (tmp_path / "e.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.npz").write_text("not arrays")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    for name in ("cut.npz", "text.npz", "objects.npy", "none.npz"):
        with pytest.raises(FormatError, match=name.replace(".", r"\.")):
            load_embeddings(tmp_path / name)
        assert not is_codes_file(tmp_path / name)
