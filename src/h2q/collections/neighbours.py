"""What a search found, and the forms it can take: a table, a data frame, dicts, arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._lazy import require
from h2q.collections.inputs import Id

#: Neighbours a printed query shows, and queries a printed result shows.
_SHOWN_NEIGHBOURS: Final = 10
_SHOWN_QUERIES: Final = 5
_LONGEST_TEXT: Final = 40


@dataclass(frozen=True, repr=False)
class Neighbours:
    """What a search found: one entry a query, best first.

    Equal distances (or scores) are ordered by when the items were added, the older first.

    Attributes
    ----------
    ids : list of nq lists
    distances : list of nq ndarrays, int32
        Hamming distance of the query's code to each item, in bits.
    scores : list of nq ndarrays, float32, or None
        By the rank (`h2q.ranks.RANKS` says what they are); higher is better. None where the search
        ranked by Hamming distance.
    payloads : list of nq lists of dict or None, or None
        Where they were asked for (``payloads=True``).

    Examples
    --------
    >>> import numpy as np
    >>> found = Neighbours([["a", "b"]], [np.array([0, 3], np.int32)])
    >>> found
    Neighbours of 1 query
      #  id  distance
      1  a          0
      2  b          3
    >>> found.to_dicts()
    [[{'id': 'a', 'distance': 0}, {'id': 'b', 'distance': 3}]]
    """

    ids: list[list[Id]]
    distances: list[NDArray[np.int32]]
    scores: list[NDArray[np.float32]] | None = None
    payloads: list[list[dict[str, Any] | None]] | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.ids)

    def to_dicts(self) -> list[list[dict[str, Any]]]:
        """Return a list a query of dicts: "id", "distance", and "score" and "payload" if any.

        All values are plain, so JSON takes them.
        """
        return [
            [
                {
                    "id": item_id,
                    "distance": int(self.distances[query][place]),
                    **({} if self.scores is None else {"score": float(self.scores[query][place])}),
                    **({} if self.payloads is None else {"payload": self.payloads[query][place]}),
                }
                for place, item_id in enumerate(ids)
            ]
            for query, ids in enumerate(self.ids)
        ]

    def to_numpy(self) -> tuple[NDArray[Any], NDArray[np.int32], NDArray[np.float32] | None]:
        """Return ids, distances and scores as arrays of shape (nq, k).

        Ids are int64 where all are int, else objects. Where queries found different numbers of
        items, shorter rows are filled: ids with None (so they are objects), distances with -1,
        scores with NaN.
        """
        width = max(map(len, self.ids), default=0)
        shape = (len(self.ids), width)
        ids = np.full(shape, None, dtype=object)
        distances = np.full(shape, -1, dtype=np.int32)
        scores = None if self.scores is None else np.full(shape, np.nan, dtype=np.float32)
        for query, found in enumerate(self.ids):
            ids[query, : len(found)] = np.array([*found, None], dtype=object)[:-1]
            distances[query, : len(found)] = self.distances[query]
            if scores is not None and self.scores is not None:
                scores[query, : len(found)] = self.scores[query]
        if all(type(item_id) is int for found in self.ids for item_id in found) and all(
            len(found) == width for found in self.ids
        ):
            return ids.astype(np.int64), distances, scores
        return ids, distances, scores

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`, a row a neighbour.

        Its columns are "query" (number), "place" (from 1), "id", "distance", "score" where there
        are any, and, where payloads were asked for, a column a key of them.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        pandas: Any = require("pandas", "pandas")
        rows = []
        for query, found in enumerate(self.to_dicts()):
            for place, hit in enumerate(found, start=1):
                payload = hit.pop("payload", None) or {}
                rows.append(
                    {
                        "query": query,
                        "place": place,
                        **hit,
                        **{key: value for key, value in payload.items() if key not in _COLUMNS},
                    }
                )
        columns = ["query", "place", "id", "distance", *(["score"] if self.scores else [])]
        return pandas.DataFrame(rows) if rows else pandas.DataFrame(columns=columns)

    def __repr__(self) -> str:
        noun = "query" if len(self) == 1 else "queries"
        lines = [f"Neighbours of {len(self)} {noun}"]
        for query in range(min(len(self), _SHOWN_QUERIES)):
            if len(self) > 1:
                lines.append(f" query {query}")
            lines += [f"  {line}" for line in _table(*self._columns(query))]
            lines += self._more(query, "  ")
        if len(self) > _SHOWN_QUERIES:
            lines.append(f" ... and {len(self) - _SHOWN_QUERIES} more queries")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the table a notebook shows; ids and payloads are escaped."""
        parts = []
        for query in range(min(len(self), _SHOWN_QUERIES)):
            head, rows = self._columns(query)
            cells = "".join(f"<th>{escape(name)}</th>" for name in head)
            body = "".join(
                "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
                for row in rows
            )
            caption = f"query {query}" + "".join(self._more(query, ", "))
            parts.append(
                f"<table><caption>{escape(caption)}</caption><thead><tr>{cells}</tr></thead>"
                f"<tbody>{body}</tbody></table>"
            )
        if len(self) > _SHOWN_QUERIES:
            parts.append(f"<p>... and {len(self) - _SHOWN_QUERIES} more queries</p>")
        return "".join(parts) or "<p>no queries</p>"

    def _more(self, query: int, before: str) -> list[str]:
        left = len(self.ids[query]) - _SHOWN_NEIGHBOURS
        if not self.ids[query]:
            return [f"{before}nothing found"]
        return [f"{before}... and {left} more"] if left > 0 else []

    def _columns(self, query: int) -> tuple[list[str], list[list[str]]]:
        head = ["#", "id", "distance"]
        head += ["score"] if self.scores is not None else []
        head += ["payload"] if self.payloads is not None else []
        rows = []
        for place, item_id in enumerate(self.ids[query][:_SHOWN_NEIGHBOURS]):
            row = [str(place + 1), _short(item_id), str(int(self.distances[query][place]))]
            if self.scores is not None:
                row.append(f"{float(self.scores[query][place]):.4g}")
            if self.payloads is not None:
                row.append(_short(self.payloads[query][place]))
            rows.append(row)
        return head, rows


#: Columns of the data frame that are not of payloads.
_COLUMNS: Final = frozenset({"query", "place", "id", "distance", "score"})


def _short(value: object) -> str:
    text = value if isinstance(value, str) else "" if value is None else repr(value)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 3]}..."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay columns out: numbers to the right, texts to the left."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    right = {"#", "distance", "score"}
    return [
        "  ".join(
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(head, line, widths, strict=True)
        ).rstrip()
        for line in (head, *rows)
    ]
