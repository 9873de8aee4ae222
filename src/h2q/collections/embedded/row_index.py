"""A faiss index that follows a table of codes, and finds its positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q.collections.embedded import faiss_binary
from h2q.collections.embedded.growing import Growing
from h2q.collections.embedded.table import CodeTable
from h2q.collections.index_spec import IndexSpec

#: Fewer codes are scanned faster than an index is worth.
LEAST_INDEXED: Final = 20_000
#: Codes added at a time, so that an interrupt is heeded.
_BLOCK: Final = 50_000
#: An index is built anew when there are this many times the codes it was made for.
_OUTGROWN: Final = 4
#: Of the table: more rows than this an index that cannot be built anew does not catch up with.
_LONGEST_LAG: Final = 1 / 8


class RowIndex:
    """The index of a collection. It knows rows, not positions, so removals do not spoil it.

    Parameters
    ----------
    spec : IndexSpec
        "ivf", "hnsw" or "mih".
    may_build : bool
        Whether it is made where it is missing or outgrown: not where it could not be kept.
    """

    def __init__(self, spec: IndexSpec, may_build: bool) -> None:
        self.spec = spec
        self._may_build = may_build
        self._index: Any = None
        self._rows = Growing(np.empty(0, dtype=np.int64))
        self._last_row = 0
        self._made_for = 0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def faiss(self) -> Any:
        """The index itself."""
        return self._index

    def follow(self, table: CodeTable) -> bool:
        """Bring it up to date with a table; return whether it can be used."""
        size = len(table)
        if size < LEAST_INDEXED:
            return False
        stale = len(self._rows) > 2 * size or size > _OUTGROWN * self._made_for
        if self._index is None or stale:
            if not self._may_build:
                return False
            self._build(table)
            return True
        start = int(np.searchsorted(table.rows, self._last_row, side="right"))
        if start < len(table.rows):
            if not self._may_build and len(table.rows) - start > _LONGEST_LAG * size:
                return False
            self._add(table, start)
        return True

    def positions(self, table: CodeTable, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions in the table of what the index found; -1 for what is gone."""
        rows = self._rows.array[labels]
        positions = np.searchsorted(table.rows, rows)
        positions[positions == len(table.rows)] = 0
        held = (table.rows[positions] == rows) & table.alive[positions] & (labels >= 0)
        return np.where(held, positions, -1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return it as arrays for a file."""
        return {"index": faiss_binary.serialized(self._index), "rows": self._rows.array}

    def facts(self) -> dict[str, Any]:
        """Return what a file states of it."""
        about = {"kind": self.spec.kind, "built_with": self.spec.built_with}
        return {**about, "last_row": self._last_row, "made_for": self._made_for}

    def restore(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bool:
        """Take over what a file held; return whether it was of use."""
        stated = (facts["kind"], facts["built_with"])
        if stated != (self.spec.kind, self.spec.built_with):
            return False
        try:
            self._index = faiss_binary.deserialized(arrays["index"])
        except RuntimeError:  # another version of faiss wrote it
            return False
        self._rows = Growing(arrays["rows"])
        self._last_row, self._made_for = facts["last_row"], facts["made_for"]
        return True

    def _build(self, table: CodeTable) -> None:
        alive = table.codes[table.alive] if table.dead else table.codes
        self._index = None  # not two at a time, and none where this one is interrupted
        self._rows, self._last_row = Growing(np.empty(0, dtype=np.int64)), 0
        index = faiss_binary.make_empty(self.spec, alive)
        self._made_for = len(alive)
        self._index = index
        try:
            self._add(table, 0)
        except BaseException:
            self._index = None
            raise

    def _add(self, table: CodeTable, start: int) -> None:
        for first in range(start, len(table.rows), _BLOCK):
            positions = np.arange(first, min(first + _BLOCK, len(table.rows)))
            positions = positions[table.alive[positions]]
            self._index.add(table.codes[positions])
            self._rows.extend(table.rows[positions])
            self._last_row = int(table.rows[min(first + _BLOCK, len(table.rows)) - 1])
