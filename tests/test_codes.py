from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from h2q.codes import (
    check_codes,
    code_width,
    distances,
    hamming_distances,
    load_codes,
    pack,
    save_codes,
    unpack,
    unpack_signs,
)
from h2q.errors import FormatError, InvalidInputError

LENGTHS = [1, 7, 8, 12, 16, 24, 31, 48, 64, 65, 100, 128]


def random_bits(n: int, k: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (n, k), dtype=np.uint8)


@pytest.mark.parametrize("k", LENGTHS)
def test_width_is_whole_bytes(k):
    assert code_width(k) == math.ceil(k / 8)


def test_first_bit_is_the_highest_of_the_first_byte():
    assert pack(np.array([[1.0] + [-1.0] * 8])).tolist() == [[0b1000_0000, 0]]


def test_zero_is_the_bit_zero():
    assert pack(np.array([[0.0, -0.0, 1e-30, -1e-30]])).tolist() == [[0b0010_0000]]


@pytest.mark.parametrize("k", LENGTHS)
def test_unpack_undoes_pack(k):
    bits = random_bits(20, k)
    assert np.array_equal(unpack(pack(bits), k), bits)
    assert np.array_equal(unpack_signs(pack(bits), k), np.where(bits == 1, 1.0, -1.0))


@pytest.mark.parametrize("k", LENGTHS)
def test_torch_packs_to_the_same_bytes(k):
    torch = pytest.importorskip("torch")
    z = np.random.default_rng(k).standard_normal((17, k)).astype(np.float32)
    packed = pack(torch.from_numpy(z))
    assert isinstance(packed, torch.Tensor)
    assert packed.dtype is torch.uint8
    assert np.array_equal(packed.numpy(), pack(z))
    assert np.array_equal(pack(torch.from_numpy(z > 0)).numpy(), pack(z))


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.float16, np.float64])
def test_pack_takes_any_real_dtype(dtype):
    bits = random_bits(5, 20)
    assert np.array_equal(pack(bits.astype(dtype)), pack(bits))


def test_pack_of_no_rows_has_the_width():
    assert pack(np.empty((0, 12))).shape == (0, 2)


@pytest.mark.parametrize(
    ("z", "words"),
    [
        (np.array([1.0, 2.0]), "shape"),
        (np.empty((3, 0)), "shape"),
        (np.array([[1.0, np.nan]]), "NaN"),
        (np.array([[1.0 + 2.0j]]), "complex"),
    ],
)
def test_pack_refuses(z, words):
    with pytest.raises(InvalidInputError, match=words):
        pack(z)


@pytest.mark.parametrize(
    ("codes", "n_bits", "words"),
    [
        (np.zeros((2, 8), np.int64), 64, "dtype uint8"),
        (np.zeros((2, 8), np.uint8), 48, "6 bytes wide"),
        (np.ones((2, 2), np.uint8), 12, "filling bits"),
        (np.zeros((2, 2, 2), np.uint8), 16, "shape"),
        (np.zeros((2, 2), np.uint8), 0, "from 1 to"),
    ],
)
def test_check_codes_refuses(codes, n_bits, words):
    with pytest.raises(InvalidInputError, match=words):
        check_codes(codes, n_bits)


def test_check_codes_takes_one_code_as_one_row():
    assert check_codes(np.zeros(8, np.uint8), 64).shape == (1, 8)


@given(
    st.integers(1, 150).flatmap(
        lambda k: st.tuples(
            hnp.arrays(np.bool_, st.tuples(st.integers(0, 6), st.just(k))),
            hnp.arrays(np.bool_, st.tuples(st.integers(0, 6), st.just(k))),
        )
    )
)
def test_hamming_counts_the_differing_bits(pair):
    a, b = pair
    expected = (a[:, None, :] != b[None, :, :]).sum(axis=2)
    assert np.array_equal(hamming_distances(pack(a), pack(b)), expected)


@pytest.mark.parametrize("pairs", [1, 7, 50])
def test_hamming_does_not_depend_on_the_block(pairs, monkeypatch):
    a, b = pack(random_bits(13, 40, 1)), pack(random_bits(29, 40, 2))
    expected = hamming_distances(a, b)
    monkeypatch.setattr(distances, "_BLOCK_PAIRS", pairs)
    assert np.array_equal(hamming_distances(a, b), expected)


def test_hamming_refuses_other_widths():
    with pytest.raises(InvalidInputError, match="differ in width: 1 and 2"):
        hamming_distances(np.zeros((1, 1), np.uint8), np.zeros((1, 2), np.uint8))


@pytest.mark.parametrize("ids", [None, [3, 1, 2**60], ["b", "ü/ö.jpg", ""]])
def test_file_round_trip(tmp_path: Path, ids):
    codes = pack(random_bits(3, 20))
    path = save_codes(tmp_path / "photos.codes", codes, 20, ids)
    assert [p.name for p in tmp_path.iterdir()] == ["photos.codes"]
    loaded = load_codes(path)
    assert np.array_equal(loaded.codes, codes)
    assert (loaded.n_bits, loaded.ids) == (20, ids)


def test_file_states_its_bits_and_their_order(tmp_path: Path):
    save_codes(tmp_path / "a.npz", pack(random_bits(3, 20)), 20)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert (archive["n_bits"], archive["bit_order"]) == (20, "msb")


@pytest.mark.parametrize(
    "ids", [[1, 2], [1, "a", 2], [1.5, 2.0, 3.0], ["a\0", "b", "c"], [2**70, 1, 2]]
)
def test_save_refuses_ids_and_leaves_the_old_file(tmp_path: Path, ids):
    codes = pack(random_bits(3, 20))
    path = save_codes(tmp_path / "a.npz", codes, 20)
    with pytest.raises(InvalidInputError, match="ids"):
        save_codes(path, codes, 20, ids)
    assert load_codes(path).ids is None


@pytest.mark.parametrize("keep", [0, 10, 300, -30])
def test_truncated_file_is_a_format_error(tmp_path: Path, keep):
    path = save_codes(tmp_path / "a.npz", pack(random_bits(300, 64)), 64)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FormatError, match=r"a\.npz"):
        load_codes(path)


def test_other_files_are_format_errors(tmp_path: Path):
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "other.npz", codes=np.zeros((3, 8), np.uint8))
    np.savez(tmp_path / "pickled.npz", codes=np.array([{}], dtype=object))
    for name in ("text.npz", "array.npy", "other.npz", "pickled.npz"):
        with pytest.raises(FormatError, match=name):
            load_codes(tmp_path / name)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("format_version", 9, "version 9"),
        ("bit_order", "lsb", "lsb"),
        ("n_bits", 16, "contradicts"),
        ("n_bits", "many", "contradicts"),
        ("ids", [1], "damaged"),
    ],
)
def test_inconsistent_file_is_a_format_error(tmp_path: Path, field, value, words):
    path = save_codes(tmp_path / "a.npz", pack(random_bits(3, 24)), 24)
    with np.load(path) as archive:
        fields = dict(archive)
    fields[field] = np.array(value)
    np.savez(path, **fields)
    with pytest.raises(FormatError, match=words):
        load_codes(path)


def test_missing_file_says_so(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        load_codes(tmp_path / "absent.npz")
