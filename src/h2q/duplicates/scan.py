"""Near-duplicates among the items of a collection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from h2q._progress import OnProgress, no_progress
from h2q._typing import CodeArray
from h2q.collections.base import Collection, Id, Where
from h2q.duplicates.groups import Groups, find_groups

_BATCH = 50_000


@dataclass(frozen=True, eq=False)
class CollectionDuplicates:
    """Groups of items; row i of `groups` is the item ``ids[i]``, the oldest item is row 0.

    Attributes
    ----------
    ids : list of str or int
        Of every item compared.
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
    n_bits : int
    groups : Groups
    """

    ids: list[Id]
    codes: CodeArray
    n_bits: int
    groups: Groups


def duplicates_in(
    collection: Collection,
    radius: int,
    *,
    where: Where | None = None,
    on_read: OnProgress = no_progress,
    on_compare: OnProgress = no_progress,
) -> CollectionDuplicates:
    """Find all groups of items that hang together by pairs within `radius` bits, exactly.

    Ids and codes of all items are read into memory.

    Parameters
    ----------
    collection : Collection
    radius : int
        In bits, inclusive; groups are by chaining (`find_groups`).
    where : mapping, optional
        Only items whose payload meets this (`h2q.collections.filters`).
    on_read, on_compare : callable
        Told how much of how much is done, in the two stages.

    Returns
    -------
    CollectionDuplicates
    """
    ids: list[Id] = []
    total = collection.count(where)
    blocks = [np.empty((0, -(-collection.n_bits // 8)), dtype=np.uint8)]
    for batch in collection.iterate(_BATCH, where):
        ids.extend(batch.ids)
        blocks.append(batch.codes)
        on_read(len(ids), max(total, len(ids)))
    codes = np.concatenate(blocks)
    groups = find_groups(codes, collection.n_bits, radius, on_progress=on_compare)
    return CollectionDuplicates(ids, codes, collection.n_bits, groups)
