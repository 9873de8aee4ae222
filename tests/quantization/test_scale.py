"""Many rows: sampled, streamed from a file, in memory that does not grow with them."""

import tracemalloc

import numpy as np
import pytest

from h2q import HouseholderQuantizer, ITQQuantizer, SignQuantizer

MIB = 2**20


@pytest.fixture(scope="module")
def rows_file(tmp_path_factory):
    """A file of 280,000 x 64 half-precision rows, 34 MiB (137 MiB as float64)."""
    path = tmp_path_factory.mktemp("rows") / "rows.npy"
    block = np.random.default_rng(0).standard_normal((70_000, 64), dtype=np.float32)
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(280_000, 64))
    for start in range(0, 280_000, 70_000):
        rows[start : start + 70_000] = block + start / 1e6
    rows.flush()
    return path


def peak(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("n_bits", [None, 32])
@pytest.mark.parametrize("make", [SignQuantizer, lambda *a, **k: ITQQuantizer(*a, max_iter=2, **k)])
def test_memory_does_not_grow_with_the_rows(rows_file, make, n_bits):
    rows = np.load(rows_file, mmap_mode="r")
    settings = {"max_samples": 20_000, "random_state": 0}
    make(n_bits, **settings).fit(rows[:1000])
    few = peak(lambda: make(n_bits, **settings).fit(rows[:140_000]))
    many = peak(lambda: make(n_bits, **settings).fit(rows))
    # The 140,000 rows more are 17 MiB as they are and 68 MiB in float64.
    assert many < few + 4 * MIB
    assert many < 160 * MIB


def test_coding_a_file_takes_memory_for_a_block_and_the_codes(rows_file):
    rows = np.load(rows_file, mmap_mode="r")
    quantizer = SignQuantizer().fit(rows[:1000])
    few = peak(lambda: quantizer.transform(rows[:140_000]))
    many = peak(lambda: quantizer.transform(rows))
    codes = 140_000 * 8
    assert many < few + 3 * codes + MIB


def test_a_memory_mapped_file_gives_what_memory_gives(rows_file):
    mapped = np.load(rows_file, mmap_mode="r")[:60_000]
    quantizer = HouseholderQuantizer(16, max_samples=2000, random_state=0)
    expected = quantizer.fit(np.array(mapped)).rotation_
    np.testing.assert_array_equal(quantizer.fit(mapped).rotation_, expected)


def test_the_rotation_is_found_on_the_sample_alone(monkeypatch):
    rows = np.random.default_rng(0).standard_normal((60_000, 4))
    sizes = []
    find = ITQQuantizer._find_rotation
    monkeypatch.setattr(
        ITQQuantizer,
        "_find_rotation",
        lambda self, z, *args: sizes.append(len(z)) or find(self, z, *args),
    )
    ITQQuantizer(random_state=0).fit(rows)
    ITQQuantizer(max_samples=500, random_state=0).fit(rows)
    assert sizes == [50_000, 500]


def test_different_seeds_sample_differently():
    rows = np.random.default_rng(0).laplace(size=(3000, 6))
    fits = [ITQQuantizer(max_samples=100, random_state=seed).fit(rows) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(fits[0].rotation_, fits[1].rotation_)
    assert np.abs(fits[0].rotation_ - fits[2].rotation_).max() > 1e-3
