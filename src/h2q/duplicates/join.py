"""All pairs of different codes within a radius, by sorting; in blocks that bound the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from h2q._progress import OnProgress, no_progress
from h2q.duplicates.plan import Key, make_plan

#: Pairs compared at a time: the temporary arrays stay within some 100 MB.
_BLOCK_PAIRS: Final = 1 << 20
_STEPS: Final = 100  # of progress a key: a key of few bits takes long
# Odd, from the golden ratio: keys of several words are mixed to one word by it.
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


class CodePairs(NamedTuple):
    """Pairs of codes, by their numbers among the different codes; left is below right."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    distance: NDArray[np.int64]


def close_pairs(
    words: NDArray[np.uint64],
    n_bits: int,
    radius: int,
    on_progress: OnProgress = no_progress,
) -> Iterator[CodePairs]:
    """Yield every pair of different codes at a distance of at most `radius`, once.

    Parameters
    ----------
    words : ndarray of shape (u, n_words), uint64
        Different codes (`DistinctCodes.words`).
    n_bits : int
    radius : int
    on_progress : callable
        Told how much of how much is done.
    """
    if radius < 1 or len(words) < 2:
        return
    keys = make_plan(words, n_bits, radius).keys
    total = len(keys) * _STEPS
    for done, key in enumerate(keys):

        def within_key(share: float, done: int = done) -> None:
            on_progress(int((done + share) * _STEPS), total)

        yield from _pairs_of_key(words, key, radius, within_key)
    on_progress(total, total)


def _pairs_of_key(
    words: NDArray[np.uint64],
    key: Key,
    radius: int,
    on_share: Callable[[float], None] = lambda share: None,
) -> Iterator[CodePairs]:
    on_share(0.0)
    order, ends = _runs(words, key.mask)
    columns = [words[order, word] for word in range(words.shape[1])]  # contiguous: quick to gather
    for left, right in _expand(ends):
        on_share(int(left[-1]) / len(ends) if len(left) else 1.0)
        found = np.bitwise_count(columns[0][left] ^ columns[0][right]).astype(np.uint16)
        for column in columns[1:]:
            found += np.bitwise_count(column[left] ^ column[right])
        near = np.flatnonzero(found <= radius)
        if not len(near):
            continue
        a, b, found = order[left[near]], order[right[near]], found[near]
        if key.must_differ:
            differing = words[a] ^ words[b]
            ours = np.ones(len(near), dtype=bool)
            for block in key.must_differ:
                ours &= np.any(differing & block, axis=1)
            a, b, found = a[ours], b[ours], found[ours]
        yield CodePairs(np.minimum(a, b), np.maximum(a, b), found.astype(np.int64))


def _runs(
    words: NDArray[np.uint64], mask: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sort the codes by a key, and leave out those whose key no other has.

    Returns their numbers in that order, and for each place where its run of equal keys ends.
    """
    keys = words[:, 0] & mask[0]
    for word in range(1, words.shape[1]):
        # Two keys that fall together by the mixing cost a comparison and change no result.
        keys = (keys ^ (keys >> np.uint64(29))) * _MIX + (words[:, word] & mask[word])
    order = np.argsort(keys)
    keys = keys[order]
    change = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    starts = np.concatenate([[0], change])
    lengths = np.diff(np.append(starts, len(keys)))
    shared = lengths > 1
    kept = order[np.repeat(shared, lengths)]
    lengths = lengths[shared]
    return kept, np.repeat(np.cumsum(lengths), lengths)


def _expand(ends: NDArray[np.int64]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield the pairs of places within each run, in blocks."""
    partners = ends - np.arange(len(ends)) - 1
    total = np.cumsum(partners)
    begin = 0
    while begin < len(ends):
        before = int(total[begin - 1]) if begin else 0
        end = int(np.searchsorted(total, before + _BLOCK_PAIRS, side="right"))
        end = max(end, begin + 1)  # one code with more partners than a block has room for
        counts = partners[begin:end]
        left = np.repeat(np.arange(begin, end), counts)
        first = np.repeat(total[begin:end] - counts - before, counts)
        yield left, left + 1 + (np.arange(len(left)) - first)
        begin = end
