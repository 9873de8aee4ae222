"""What a collection must answer, the slow and obvious way."""

from __future__ import annotations

from typing import Any

import numpy as np

from h2q.codes import unpack_signs
from h2q.collections import Collection


class DictModel:
    """Ids, codes and payloads in a dict, in the order they were last written."""

    def __init__(self, n_bits: int) -> None:
        self.n_bits = n_bits
        self.items: dict[Any, tuple[bytes, dict[str, Any] | None]] = {}

    def add(self, ids, codes, payloads=None) -> None:
        for i, item_id in enumerate(ids):
            self.items.pop(item_id, None)
            self.items[item_id] = (codes[i].tobytes(), None if payloads is None else payloads[i])

    def delete(self, ids) -> int:
        return sum(self.items.pop(item_id, None) is not None for item_id in ids)

    def _codes(self, keep) -> tuple[list[Any], np.ndarray]:
        ids = [i for i, (_, payload) in self.items.items() if keep(payload)]
        width = -(-self.n_bits // 8)
        data = b"".join(self.items[i][0] for i in ids)
        return ids, np.frombuffer(data, np.uint8).reshape(-1, width)

    def distances(self, code, keep=lambda payload: True):
        ids, codes = self._codes(keep)
        return ids, np.unpackbits(codes ^ code, axis=1).sum(axis=1, dtype=int)

    def nearest(self, code, k, keep=lambda payload: True):
        ids, distances = self.distances(code, keep)
        order = np.argsort(distances, kind="stable")[:k]
        return [ids[i] for i in order], distances[order].tolist()

    def within(self, code, radius, keep=lambda payload: True):
        ids, distances = self.nearest(code, len(self.items), keep)
        inside = [i for i, d in enumerate(distances) if d <= radius]
        return [ids[i] for i in inside], [distances[i] for i in inside]

    def asymmetric(self, row, k, keep=lambda payload: True):
        """Exact scores in rational arithmetic would be the same: rows are multiples of 1/64."""
        ids, codes = self._codes(keep)
        scores = (unpack_signs(codes, self.n_bits).astype(float) @ row) if ids else np.empty(0)
        order = np.argsort(-scores, kind="stable")[:k]
        return [ids[i] for i in order], scores[order].tolist()


def same_content(collection: Collection, model: DictModel) -> None:
    """The collection holds exactly what the model holds, by every way of reading it."""
    assert len(collection) == len(model.items)
    seen = {}
    for batch in collection.iterate(batch_size=7):
        for item_id, code, payload in zip(batch.ids, batch.codes, batch.payloads, strict=True):
            seen[item_id] = (code.tobytes(), payload)
    assert seen == model.items
    assert list(seen) == list(model.items)


def exact_rows(rng: np.random.Generator, n: int, n_bits: int) -> np.ndarray:
    """Real rows whose sums are exact in floating point, so that ties are ties."""
    rows = rng.integers(-128, 128, (n, n_bits)) / 64.0
    rows[:, 0] = np.where(rows[:, 0] == 0, 1.0, rows[:, 0])
    return rows.astype(np.float32)
