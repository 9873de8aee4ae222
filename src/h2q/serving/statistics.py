"""What the codes of a collection look like, and what one search of them costs."""

from __future__ import annotations

import time

import numpy as np

from h2q.codes import unpack
from h2q.collections.base import Collection
from h2q.serving.catalog import Catalog
from h2q.serving.schemas import StatsOut

#: Pairs of which the distances are looked at, codes of which the bits are counted at a time, and
#: searches of which the median is told.
_PAIRS, _BLOCK, _SEARCHES = 200_000, 1 << 15, 15


def statistics_of(collection: Collection, catalog: Catalog) -> StatsOut:
    """Return statistics of all codes, and of a sample of pairs drawn with a fixed seed.

    Parameters
    ----------
    collection : Collection
        Is searched some times.
    catalog : Catalog
        Its items.
    """
    from h2q.evaluation import code_statistics  # takes a while to load, and few ask

    n_bits = catalog.n_bits
    if len(catalog) < 2:
        return StatsOut(statistics={}, balance=[], histogram=[], search_milliseconds=None)
    rng = np.random.default_rng(0)
    facts = code_statistics(catalog.codes, n_bits).to_dict()
    ones = np.zeros(n_bits)
    for start in range(0, len(catalog), _BLOCK):
        ones += unpack(catalog.codes[start : start + _BLOCK], n_bits).sum(axis=0)
    pairs = rng.integers(0, len(catalog), (2, _PAIRS))
    pairs = pairs[:, pairs[0] != pairs[1]]
    differing = np.bitwise_count(catalog.codes[pairs[0]] ^ catalog.codes[pairs[1]])
    distances = differing.sum(axis=1, dtype=np.int64)
    seconds = []
    for place in rng.integers(0, len(catalog), _SEARCHES).tolist():
        began = time.perf_counter()
        collection.search(catalog.codes[place], 10)
        seconds.append(time.perf_counter() - began)
    return StatsOut(
        statistics={name: _finite(value) for name, value in facts.items()},
        balance=[float(share) for share in ones / len(catalog)],
        histogram=[int(n) for n in np.bincount(distances, minlength=n_bits + 1)],
        search_milliseconds=float(np.median(seconds)) * 1e3,
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
