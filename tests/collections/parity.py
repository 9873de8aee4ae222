"""The same codes and queries have the same answers, whichever engine holds them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from h2q.collections import Collection

N_ITEMS, N_QUERIES, N_BITS = 200_000, 1_000, 64


def parity_codes(n: int = N_ITEMS, seed: int = 0) -> np.ndarray:
    """Random codes of 64 bits, shape (n, 8)."""
    return np.random.default_rng(seed).integers(0, 256, (n, N_BITS // 8), dtype=np.uint8)


def fill(collection: Collection, codes: np.ndarray, batch: int = 50_000) -> None:
    """Add the codes; their ids are their row numbers."""
    for start in range(0, len(codes), batch):
        part = codes[start : start + batch]
        collection.add(range(start, start + len(part)), part)


def check_parity(
    collection: Collection,
    reference: Collection,
    queries: np.ndarray | None = None,
    *,
    k: int = 10,
    radius: int = 16,
    batch: int = 100,
    radius_share: float = 0.2,
    same_ids: bool = True,
) -> None:
    """Compare two collections that hold the same items, searched exactly.

    Distances must be the same for every query. With `same_ids` the items must be, too, in the
    same order: for engines that break ties by age. The queries default to `N_QUERIES` random codes;
    the first `radius_share` of them are asked for all within `radius`, too.
    """
    asked = parity_codes(N_QUERIES, seed=1) if queries is None else queries
    assert len(collection) == len(reference)
    bounds = [*range(0, len(asked), batch), len(asked)]
    for start, stop in pairwise(bounds):
        part = asked[start:stop]
        pairs = [(collection.search(part, k), reference.search(part, k))]
        if start < radius_share * len(asked):
            pairs.append((collection.within(part, radius), reference.within(part, radius)))
        for found, wanted in pairs:
            assert len(found) == len(wanted) == len(part)
            for one, other in zip(found.distances, wanted.distances, strict=True):
                assert np.array_equal(one, other)
            for one, other in zip(found.ids, wanted.ids, strict=True):
                assert not same_ids or one == other
                assert len(set(one)) == len(one)
            # What each says of an item is so, whatever the other says.
            _distances_are_true(found.ids, found.distances, part, reference)


def _distances_are_true(
    ids: list[list], distances: list[np.ndarray], queries: np.ndarray, holder: Collection
) -> None:
    flat = [i for each in ids for i in each]
    items = holder.get(flat)
    assert all(item is not None for item in items)
    codes = np.array([item.code for item in items], dtype=np.uint8).reshape(-1, queries.shape[1])
    owner = np.repeat(np.arange(len(ids)), [len(each) for each in ids])
    truth = np.bitwise_count(codes ^ queries[owner]).sum(axis=1)
    assert np.array_equal(truth, np.concatenate([*distances, np.empty(0, np.int32)]))
