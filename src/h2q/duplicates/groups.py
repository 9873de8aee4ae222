"""Groups of near-duplicates: the connected components of the pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from h2q._progress import OnProgress, no_progress
from h2q._typing import Array
from h2q.duplicates.distinct import DistinctCodes, distances
from h2q.duplicates.join import close_pairs
from h2q.duplicates.pairs import check_radius
from h2q.errors import InvalidInputError

#: Pairs held before they are merged into the groups.
_HELD_PAIRS: Final = 1 << 21

#: `"largest"`: most rows first. `"tightest"`: smallest reach first, then most rows.
Order: TypeAlias = Literal["largest", "tightest"]


@dataclass(frozen=True, eq=False)
class Group:
    """Rows that hang together.

    Attributes
    ----------
    rows : ndarray of shape (m,), int64
        The row with the lowest number first, then by distance from it, then by number.
    distances : ndarray of shape (m,), int64
        From the first row, in bits. By chaining they can be above the radius.
    """

    rows: NDArray[np.int64]
    distances: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def reach(self) -> int:
        """Largest distance from the first row."""
        return int(self.distances[-1])


class Groups:
    """All groups of two rows or more, by chaining.

    Attributes
    ----------
    radius : int
    n_rows : int
        Rows that were compared.
    sizes, reaches : ndarray of shape (g,), int64
        Of each group: its rows, and the largest distance from its first row. Groups are numbered
        by their lowest row.
    pairs_at : ndarray of shape (radius + 1,), int64
        How many pairs of rows are at distance 0, 1, ..., radius.
    """

    def __init__(
        self,
        radius: int,
        rows: NDArray[np.int64],
        from_first: NDArray[np.int64],
        starts: NDArray[np.int64],
        pairs_at: NDArray[np.int64],
        n_rows: int,
    ) -> None:
        self.radius, self.n_rows, self.pairs_at = radius, n_rows, pairs_at
        self._rows, self._from_first, self._starts = rows, from_first, starts
        self.sizes: NDArray[np.int64] = np.diff(starts)
        self.reaches: NDArray[np.int64] = from_first[starts[1:] - 1]

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, number: int) -> Group:
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        number %= len(self)
        span = slice(self._starts[number], self._starts[number + 1])
        return Group(self._rows[span], self._from_first[span])

    @property
    def n_pairs(self) -> int:
        """Pairs of rows within the radius."""
        return int(self.pairs_at.sum())

    @property
    def n_spare(self) -> int:
        """Rows that are in a group and are not its first."""
        return int(self.sizes.sum()) - len(self)

    def order(self, by: Order = "largest") -> NDArray[np.int64]:
        """Numbers of the groups, the largest or the tightest first, ties by their lowest row."""
        if by == "largest":
            return np.lexsort((self.reaches, -self.sizes))
        if by == "tightest":
            return np.lexsort((-self.sizes, self.reaches))
        raise InvalidInputError(f"groups are ordered by 'largest' or 'tightest', got {by!r}")

    def labels(self) -> NDArray[np.int64]:
        """Return the number of each row's group, shape (n_rows,); -1 for a row in none."""
        labels = np.full(self.n_rows, -1, dtype=np.int64)
        labels[self._rows] = np.repeat(np.arange(len(self)), self.sizes)
        return labels


def find_groups(
    codes: Array,
    n_bits: int,
    radius: int,
    *,
    on_progress: OnProgress = no_progress,
) -> Groups:
    """Find all groups of codes that hang together by pairs within `radius`, exactly.

    Grouping is by chaining (single linkage): with radius 2, codes at 0, 2 and 4 bits from the
    first are one group, though the ends are 4 bits apart. Use a small radius, or `near_pairs`,
    where that matters. Memory is bounded by the number of rows,
    however many pairs there are.

    Parameters
    ----------
    codes : array of shape (n, ceil(n_bits / 8)), uint8
        Packed codes (`h2q.codes.pack`).
    n_bits : int
    radius : int
        In bits, inclusive; 0 finds equal codes.
    on_progress : callable
        Told how much of how much is done.

    Returns
    -------
    Groups

    Raises
    ------
    InvalidInputError
        If the codes are not of `n_bits` bits, or the radius is negative.

    Examples
    --------
    >>> import numpy as np
    >>> groups = find_groups(np.array([[0b1111], [0], [0b0111], [0]], np.uint8), 8, 1)
    >>> [group.rows.tolist() for group in groups]
    [[0, 2], [1, 3]]
    """
    check_radius(radius)
    distinct = DistinctCodes.of(codes, n_bits)
    counts = distinct.counts
    pairs_at = np.zeros(radius + 1, dtype=np.int64)
    pairs_at[0] = int((counts * (counts - 1) // 2).sum())
    merged = _Merged(len(distinct))
    for pairs in close_pairs(distinct.words, n_bits, radius, on_progress):
        rows = counts[pairs.left] * counts[pairs.right]
        np.add.at(pairs_at, pairs.distance, rows)
        merged.join(pairs.left, pairs.right)
    return _groups(distinct, merged.labels(), radius, pairs_at)


class _Merged:
    """Which of u codes hang together, kept up to date with little memory."""

    def __init__(self, n: int) -> None:
        self._labels = np.arange(n, dtype=np.int64)
        self._held: list[NDArray[np.int64]] = []
        self._n_held = 0

    def join(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
        edges = np.stack([self._labels[left], self._labels[right]])
        edges = edges[:, edges[0] != edges[1]]
        if edges.shape[1]:
            self._held.append(edges)
            self._n_held += edges.shape[1]
        if self._n_held >= _HELD_PAIRS:
            self._merge()

    def labels(self) -> NDArray[np.int64]:
        self._merge()
        return self._labels

    def _merge(self) -> None:
        if not self._held:
            return
        left, right = np.concatenate(self._held, axis=1)
        n = len(self._labels)
        ones = np.ones(len(left), dtype=np.int8)
        _, component = connected_components(coo_array((ones, (left, right)), (n, n)), False)
        self._labels = component[self._labels].astype(np.int64)
        self._held, self._n_held = [], 0


def _groups(
    distinct: DistinctCodes,
    code_labels: NDArray[np.int64],
    radius: int,
    pairs_at: NDArray[np.int64],
) -> Groups:
    code_of = np.repeat(np.arange(len(distinct)), distinct.counts)
    labels = code_labels[code_of]
    sizes = np.bincount(labels, minlength=len(distinct))
    kept = sizes[labels] > 1
    rows, code_of, labels = distinct.rows[kept], code_of[kept], labels[kept]
    lowest = np.full(len(sizes), np.iinfo(np.int64).max)
    np.minimum.at(lowest, labels, rows)
    # The code of each group's lowest row, then every row's distance from it.
    head_code = np.zeros(len(sizes), dtype=np.int64)
    is_head = rows == lowest[labels]
    head_code[labels[is_head]] = code_of[is_head]
    from_first = _distances(distinct.words, code_of, head_code[labels])
    order = np.lexsort((rows, from_first, lowest[labels]))
    rows, from_first = rows[order], from_first[order]
    groups = lowest[labels][order]
    begins = np.ones(len(rows), dtype=bool)
    begins[1:] = groups[1:] != groups[:-1]
    starts = np.append(np.flatnonzero(begins), len(rows))
    return Groups(radius, rows, from_first, starts, pairs_at, len(distinct.rows))


def _distances(
    words: NDArray[np.uint64], a: NDArray[np.int64], b: NDArray[np.int64]
) -> NDArray[np.int64]:
    return distances(words[a], words[b]) if len(a) else np.empty(0, dtype=np.int64)
