"""Which bits to compare exactly, so that every pair within the radius is met and few others."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from h2q.duplicates.distinct import distances

#: Cost of sorting one code by one key, and of comparing one pair, in the same unit. Measured on
#: one core with numpy (about 0.25 microseconds and 20 nanoseconds); only their ratio matters.
_SORT, _COMPARE = 12.0, 1.0
#: Keys at most; beyond it more of them do not pay for any number of codes memory holds.
_MOST_KEYS: Final = 4096
_MOST_BLOCKS: Final = 32
_SAMPLE: Final = 1500


@dataclass(frozen=True, eq=False)
class Key:
    """One selection of bits; codes that agree on all of them are compared.

    Attributes
    ----------
    mask : ndarray of shape (n_words,), uint64
        The bits that must agree.
    must_differ : tuple of ndarray of shape (n_words,), uint64
        A pair is reported by this key alone if it differs within each of these blocks; so every
        pair is reported by one key.
    """

    mask: NDArray[np.uint64]
    must_differ: tuple[NDArray[np.uint64], ...]


@dataclass(frozen=True)
class Plan:
    """The keys of a search, and what they are expected to cost.

    Attributes
    ----------
    n_blocks : int
        The bits are dealt to so many blocks.
    keys : list of Key
        One for each choice of `radius` blocks left out: two codes within the radius differ in no
        more blocks than that, so they agree on all bits of some key. With as many blocks as the
        radius there is one key of no bits: every pair is compared.
    expected_pairs : float
        Pairs to be compared, estimated from a sample.
    """

    n_blocks: int
    keys: list[Key]
    expected_pairs: float


def make_plan(words: NDArray[np.uint64], n_bits: int, radius: int) -> Plan:
    """Choose the number of blocks by the number of codes, the radius and how alike codes are.

    More blocks make longer keys, which fewer pairs share, but more of them. The scheme is that of
    Manku, Jain, Das Sarma, "Detecting near-duplicates for web crawling" (WWW 2007).

    Parameters
    ----------
    words : ndarray of shape (u, n_words), uint64
        Different codes.
    n_bits : int
    radius : int
        1 or more.
    """
    n = len(words)
    if radius >= n_bits:
        return _plan(words.shape[1], n_bits, min(radius, n_bits), min(radius, n_bits), n * n / 2)
    shares = _sampled_distances(words, n_bits)
    best: tuple[float, int, float] | None = None
    for n_blocks in range(radius, min(n_bits, _MOST_BLOCKS + radius) + 1):
        n_keys = math.comb(n_blocks, radius)
        if n_keys > _MOST_KEYS:
            break
        key_bits = n_bits * (n_blocks - radius) // n_blocks
        pairs = n_keys * n * (n - 1) / 2 * float(shares @ _agreement(n_bits, key_bits))
        cost = _COMPARE * pairs + (_SORT * n * n_keys if n_blocks > radius else 0)
        if best is None or cost < best[0]:
            best = (cost, n_blocks, pairs)
    assert best is not None  # noqa: S101  # one block a bit of the radius is always tried
    return _plan(words.shape[1], n_bits, radius, best[1], best[2])


def _plan(n_words: int, n_bits: int, radius: int, n_blocks: int, pairs: float) -> Plan:
    blocks = _deal(n_words, n_bits, n_blocks)
    everything = np.bitwise_or.reduce(blocks, axis=0)
    keys = []
    for left_out in itertools.combinations(range(n_blocks), radius):
        mask = everything.copy()
        for block in left_out:
            mask &= ~blocks[block]
        # Of all keys that a pair agrees on, the one whose left-out blocks come first in the order
        # of the combinations reports it: that has the blocks where the pair differs, filled up
        # with the first others. So each left-out block behind the first kept one must differ.
        first_kept = next((b for b in range(n_blocks) if b not in left_out), n_blocks)
        must_differ = tuple(blocks[b] for b in left_out if b > first_kept)
        keys.append(Key(mask, must_differ))
    return Plan(n_blocks, keys, pairs)


def _deal(n_words: int, n_bits: int, n_blocks: int) -> NDArray[np.uint64]:
    """Deal the bits to blocks at random, as masks (n_blocks, n_words).

    Neighbouring bits can depend on each other (those of one codebook, say); at random a key is as
    selective as its length promises. The seed is fixed; the result of a search does not depend on
    it.
    """
    order = np.random.default_rng(0).permutation(n_bits)
    bits = np.zeros((n_blocks, n_words * 64), dtype=np.uint8)
    for block, places in enumerate(np.array_split(order, n_blocks)):
        bits[block, places] = 1
    return np.packbits(bits, axis=1).view(np.uint64)


def _sampled_distances(words: NDArray[np.uint64], n_bits: int) -> NDArray[np.float64]:
    """Share of the pairs at each distance 0..n_bits, from a sample of codes."""
    chosen = np.random.default_rng(0).permutation(len(words))[:_SAMPLE]
    sample = words[np.sort(chosen)]
    counts = np.zeros(n_bits + 1)
    for place in range(len(sample) - 1):
        rest = sample[place + 1 :]
        found = distances(np.broadcast_to(sample[place], rest.shape), rest)
        counts += np.bincount(found, minlength=n_bits + 1)
    total: float = max(counts.sum(), 1.0)
    shares: NDArray[np.float64] = counts / total
    return shares


def _agreement(n_bits: int, key_bits: int) -> NDArray[Any]:
    """Probability that two codes at each distance 0..n_bits agree on `key_bits` random bits."""
    distance = np.arange(n_bits + 1)
    possible = n_bits - distance >= key_bits
    left = np.where(possible, n_bits - distance, key_bits)
    log = gammaln(left + 1) - gammaln(left - key_bits + 1)
    log -= gammaln(n_bits + 1) - gammaln(n_bits - key_bits + 1)
    return np.where(possible, np.exp(log), 0.0)
