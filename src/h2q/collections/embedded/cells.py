"""An inverted file for real queries: coarse cells of what codes stand for, the rank's score inside.

Codes that stand for near rows are one cell (k-means of the rows rebuilt, or of the signs, in at
most `_DIMENSIONS` principal directions). A query is compared with the centroids, the codes of the
nearest cells are scanned by `h2q.ranks.fast_scan.CellScan`, and a shortlist is scored exactly. So
scores are those of the scan; some items are missed.

What takes long is kept in the file beside the collection: the centroids, the cell of each item, and
the facts of its code. The lists themselves are made of these and the codes in some 0.2 s a
million. What was added since is scored exactly until it is much, and then they are made anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.embedded import indexes
from h2q.collections.embedded.indexes import Gate
from h2q.collections.embedded.scans import Hits, best_of, in_threads
from h2q.collections.embedded.table import CodeTable, Column
from h2q.collections.index_spec import IndexSpec
from h2q.ranks import Queries, Scorer
from h2q.ranks.fast_scan import CellScan
from h2q.ranks.spec import LinearForm

#: Codes a cell is trained with, at most; rounds of k-means.
_TRAINED_WITH: Final = 48
_ROUNDS: Final = 8
#: Directions in which cells are told apart: more take longer and find no more.
_DIMENSIONS: Final = 64
#: Rows the principal directions are found by, and rows worked on at a time.
_SAMPLE: Final = 50_000
_BLOCK: Final = 50_000
#: How much a wide cell is preferred to a narrow one as near: in its root mean square radius.
_WIDTH: Final = 0.3
#: Items scored exactly because they came after the lists were made: more than this, or than this
#: share of the items, and the lists are made anew.
_LEAST_YOUNG: Final = 4096
_YOUNG_SHARE: Final = 1 / 1024
#: Of the table: to find more than this, a scan is faster.
_LARGEST_SHARE: Final = 1 / 64
#: Cells looked into where the caller does not say: so many, or one in so many.
_LEAST_PROBED: Final = 96
_PROBED_ONE_IN: Final = 32
#: Most queries answered at a time.
_QUERIES: Final = 1024


class _Cells(NamedTuple):
    """What the cells are.

    `mean` (p,) and `directions` (p, m) take points to where the `centroids` (nlist, m) are;
    `radii` (nlist,) are how far their members are from them, root mean square.
    """

    form: LinearForm
    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    centroids: NDArray[np.float32]
    radii: NDArray[np.float32]

    def of(self, codes: CodeArray) -> NDArray[np.int64]:
        """Return the cell of each code."""
        flat = faiss.IndexFlatL2(self.centroids.shape[1])
        flat.add(self.centroids)
        points: Any = (self.form.points(codes) - self.mean) @ self.directions
        return np.asarray(flat.search(points, 1)[1][:, 0], dtype=np.int64)

    def near(self, asked: Any, count: int) -> NDArray[np.int64]:
        """Return the cells to look into, (nq, count)."""
        scores = (self.form.towards(asked) @ self.directions) @ self.centroids.T
        scores += _WIDTH * self.radii
        if count == scores.shape[1]:
            return np.broadcast_to(np.arange(count), scores.shape).copy()
        return np.argpartition(-scores, count - 1, axis=1)[:, :count]


class _Lists(NamedTuple):
    """The lists, and how many of the items, in the order of adding, are in them."""

    scan: CellScan
    covered: int


class CellIndex:
    """The index "ivf_asymmetric" of a collection.

    Any number of threads search it at once; one that adds to it waits until they are done.

    Parameters
    ----------
    spec : IndexSpec
    may_build : bool
        Whether it is made where it is missing or outgrown.
    scorer_of : callable
        Returns the scorer of the rank it is for.
    """

    def __init__(
        self, spec: IndexSpec, may_build: bool, scorer_of: Callable[[], Scorer | None]
    ) -> None:
        self.spec = spec
        self._may_build, self._scorer_of = may_build, scorer_of
        self._scorer: Scorer | None = None
        self._cells: _Cells | None = None
        self._lists: _Lists | None = None
        self._gate = Gate()
        self._made_for = 0
        self._forget()

    def _forget(self) -> None:
        self._cells, self._lists, self._last_row = None, None, 0
        #: What a file held of the cells, until they are first used.
        self._kept: tuple[dict[str, list[float]], dict[str, NDArray[np.float32]]] | None = None
        #: Of the items, in the order of adding: row, cell, facts, what is scanned behind the code.
        self._rows: Column[np.int64] = Column(np.empty(0, np.int64))
        self._cell: Column[np.int32] = Column(np.empty(0, np.int32))
        self._facts: Column[np.float32] | None = None
        self._extra: Column[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def follow(self, table: CodeTable) -> bool:
        """Bring it up to date with a table; return whether it can be used."""
        if len(table) < indexes.LEAST_INDEXED:
            return False
        if self._is_ready(table):
            return True
        with self._gate.alone():
            return self._is_ready(table) or self._follow(table)

    def _is_ready(self, table: CodeTable) -> bool:
        if self._cells is None or self._lists is None or self._is_stale(table):
            return False
        return int(table.rows[-1]) <= self._last_row and not self._has_many_young()

    def _has_many_young(self) -> bool:
        covered = 0 if self._lists is None else self._lists.covered
        young = len(self._rows) - covered
        return not covered or young > max(_LEAST_YOUNG, len(self._rows) * _YOUNG_SHARE)

    def _is_stale(self, table: CodeTable) -> bool:
        return len(self._rows) > 2 * len(table) or len(table) > indexes.OUTGROWN * self._made_for

    def _follow(self, table: CodeTable) -> bool:
        if self._scorer is None:
            self._scorer = self._scorer_of()
        scorer = self._scorer
        if scorer is None or not hasattr(scorer, "linear_form"):  # a rank of somebody's own
            return False
        if self._kept is not None and self._cells is None:
            state, arrays = self._kept
            form = scorer.linear_form(np.empty((0, table.width), np.uint8), None, state)
            self._cells = _Cells(form, **arrays)
        if self._cells is None or self._is_stale(table):
            if not self._may_build:
                return False
            self._forget()
            self._made_for = len(table)
            self._cells = _trained(scorer, table, self.spec)
        start = int(np.searchsorted(table.rows, self._last_row, side="right"))
        if not self._may_build and len(table.rows) - start > indexes.LONGEST_LAG * len(table):
            return False
        self._add(scorer, self._cells, table, start)
        if self._has_many_young():
            self._lists = self._listed(table, self._cells)
        return True

    def _add(self, scorer: Scorer, cells: _Cells, table: CodeTable, start: int) -> None:
        for first in range(start, len(table.rows), _BLOCK):
            last = min(first + _BLOCK, len(table.rows))
            positions = np.arange(first, last)
            positions = positions[table.alive[positions]]
            codes = table.codes[positions]
            facts = scorer.facts(codes)
            extra = cells.form.behind(codes, facts)
            if len(codes):
                if self._extra is None:
                    self._extra = Column(np.empty((0, extra.shape[1]), np.uint8))
                    self._facts = None if facts is None else Column(np.empty(0, np.float32))
                if self._facts is not None and facts is not None:
                    self._facts = self._facts.extended(facts)
                self._extra = self._extra.extended(extra)
                self._cell = self._cell.extended(cells.of(codes).astype(np.int32))
                self._rows = self._rows.extended(table.rows[positions])
            self._last_row = int(table.rows[last - 1])

    def _listed(self, table: CodeTable, cells: _Cells) -> _Lists:
        """Make lists of all items; of those that were removed since they need no code."""
        self._lists = None  # not two at a time
        positions = np.searchsorted(table.rows, self._rows.array)
        positions[positions == len(table.rows)] = 0
        width = 0 if self._extra is None else self._extra.array.shape[1]
        longer = np.empty((len(self._rows), table.width + width), np.uint8)
        longer[:, : table.width] = table.codes[positions]
        if self._extra is not None:
            longer[:, table.width :] = self._extra.array
        scan = CellScan(longer, self._cell.array, len(cells.centroids))
        return _Lists(scan, len(self._rows))

    # Searching

    def nearest(self, table: CodeTable, queries: Queries, k: int) -> list[Hits] | None:
        """Return `k` items of high scores for each query, best first, older first among equals.

        Scores are true; an item of a higher score may be missed. None where the scan is faster, or
        a query finds fewer than `k` items.

        Parameters
        ----------
        table : CodeTable
            Followed already.
        queries : Queries
        k : int
        """
        k = min(k, len(table))
        gone = len(self) - len(table)
        fetch = 3 * k + 64
        fetch += max(0, fetch * gone // len(table))
        if fetch > len(table) * _LARGEST_SHARE:
            return None
        with self._gate.shared("scores", lambda: None):
            scorer, cells, lists = self._scorer, self._cells, self._lists
            if scorer is None or cells is None or lists is None:
                return None

            def search(share: slice) -> list[Hits]:
                hits: list[Hits] = []
                numbers = range(len(queries))[share]
                for first in range(numbers.start, numbers.stop, _QUERIES):
                    asked = scorer.prepare(
                        queries.take(slice(first, min(first + _QUERIES, numbers.stop)))
                    )
                    hits += self._search(scorer, cells, lists, table, asked, k, fetch)
                return hits

            hits = in_threads(search, len(queries))
        return None if any(len(hit.values) < k for hit in hits) else hits

    def _search(
        self,
        scorer: Scorer,
        cells: _Cells,
        lists: _Lists,
        table: CodeTable,
        asked: Any,
        k: int,
        fetch: int,
    ) -> list[Hits]:
        nlist = len(cells.centroids)
        usual = max(_LEAST_PROBED, nlist // _PROBED_ONE_IN)
        probed = min(nlist, self.spec.options.get("nprobe", usual))
        near = cells.near(asked, probed)
        found = lists.scan.search(cells.form.rows(asked), near, fetch)
        positions = indexes.positions_of(self._rows.array, table, found)
        here = positions >= 0
        positions = np.where(here, positions, 0)
        facts = None if self._facts is None else self._facts.array[found]
        scores = scorer.of_each(asked, table.codes[positions], facts)
        scores[~here] = -np.inf
        if lists.covered < len(self._rows):
            begin = int(np.searchsorted(table.rows, self._rows.array[lists.covered]))
            if begin < len(table.rows):
                young = scorer.of_all(asked, table.codes[begin:])
                if table.dead:
                    young[:, ~table.alive[begin:]] = -np.inf
                later = np.arange(begin, len(table.rows), dtype=np.int64)
                positions = np.concatenate([positions, np.broadcast_to(later, young.shape)], axis=1)
                scores = np.concatenate([scores, young], axis=1)
        return best_of(positions, scores, k)

    # Keeping it in a file

    def stored(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return it as arrays for a file, and what the file is to state of it."""
        with self._gate.alone():
            cells = self._cells
            if cells is None:
                return {}, {"kind": "none"}
            arrays: dict[str, NDArray[Any]] = {"rows": self._rows.array, "cell": self._cell.array}
            if self._facts is not None:
                arrays["facts"] = self._facts.array.view(np.int32)
            if self._extra is not None:
                arrays["extra"] = self._extra.array
            for name in ("mean", "directions", "centroids", "radii"):
                arrays[name] = np.ascontiguousarray(getattr(cells, name)).view(np.int32)
            facts = {"kind": self.spec.kind, "built_with": self.spec.built_with,
                     "last_row": self._last_row, "made_for": self._made_for,
                     "form": cells.form.state()}  # fmt: skip
            return arrays, facts

    def restore(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bool:
        """Take over what a file held; return whether it was of use."""
        if (facts.get("kind"), facts.get("built_with")) != (self.spec.kind, self.spec.built_with):
            return False
        n = len(arrays["rows"])
        shape = arrays["directions"].shape
        fits = (
            arrays["cell"].shape == (n,)
            and arrays["mean"].shape == shape[:1]
            and arrays["centroids"].shape == (len(arrays["radii"]), shape[1])
            and all(len(arrays[name]) == n for name in ("facts", "extra") if name in arrays)
        )
        if not fits or not n or arrays["cell"].min() < 0:
            return False
        if arrays["cell"].max() >= len(arrays["radii"]):
            return False
        with self._gate.alone():
            # The form needs the quantizer, which cannot be read in the middle of a snapshot.
            self._kept = (
                dict(facts["form"]),
                {
                    name: arrays[name].view(np.float32)
                    for name in ("mean", "directions", "centroids", "radii")
                },
            )
            self._rows, self._cell = Column(arrays["rows"]), Column(arrays["cell"])
            self._facts = Column(arrays["facts"].view(np.float32)) if "facts" in arrays else None
            self._extra = Column(arrays["extra"]) if "extra" in arrays else None
            self._last_row, self._made_for = facts["last_row"], facts["made_for"]
            self._cells = self._lists = None
        return True


def _trained(scorer: Scorer, table: CodeTable, spec: IndexSpec) -> _Cells:
    """Find cells by k-means of a sample."""
    size = len(table)
    nlist = min(spec.options.get("nlist", max(16, round(1.3 * math.sqrt(size)))), size)
    alive = np.flatnonzero(table.alive) if table.dead else np.arange(len(table.codes))
    picked = alive[np.linspace(0, size - 1, min(size, _TRAINED_WITH * nlist)).astype(np.int64)]
    codes = table.codes[picked]
    form = scorer.linear_form(codes[:: max(1, len(codes) // _SAMPLE)])
    first = form.points(codes[:: max(1, len(codes) // _SAMPLE)])
    mean = first.mean(axis=0)
    directions = np.eye(first.shape[1], dtype=np.float32)
    if first.shape[1] > _DIMENSIONS:
        first -= mean
        _, vectors = np.linalg.eigh((first.T @ first).astype(np.float64))
        directions = np.ascontiguousarray(vectors[:, -_DIMENSIONS:], dtype=np.float32)
    points = np.empty((len(codes), directions.shape[1]), np.float32)
    squares = np.empty(len(codes), np.float32)
    for start in range(0, len(codes), _BLOCK):
        part = form.points(codes[start : start + _BLOCK]) - mean
        points[start : start + _BLOCK] = part @ directions
        squares[start : start + _BLOCK] = np.square(part).sum(axis=1)
    kmeans = faiss.Kmeans(
        points.shape[1],
        nlist,
        niter=_ROUNDS,
        seed=0,
        min_points_per_centroid=1,
        max_points_per_centroid=_TRAINED_WITH,
    )
    kmeans.train(points)
    centroids = np.ascontiguousarray(kmeans.centroids)
    cell = np.asarray(kmeans.index.search(points, 1)[1][:, 0])
    counts = np.maximum(np.bincount(cell, minlength=nlist), 1)
    around = np.bincount(cell, squares, nlist) / counts - np.square(centroids).sum(axis=1)
    radii = np.sqrt(np.maximum(around, 0)).astype(np.float32)
    return _Cells(form, mean, directions, centroids, radii)
