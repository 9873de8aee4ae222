"""The ids of the codes in memory, without a Python object for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from h2q.collections.embedded.growing import Growing
from h2q.collections.inputs import Id

#: Length of an id that is a number, not a text.
_NUMBER = -1


class IdArrays(NamedTuple):
    """Ids as plain arrays.

    `values` (n,) int64: an id that is a number, or where its text begins; `lengths` (n,) int32:
    bytes of its text, -1 for a number; `text`: UTF-8, uint8.
    """

    values: NDArray[np.int64]
    lengths: NDArray[np.int32]
    text: NDArray[np.uint8]


class IdColumn:
    """Ids by position: 12 bytes each, and the UTF-8 of those that are texts.

    Parameters
    ----------
    arrays : IdArrays, optional
        The first ids; not copied.
    """

    def __init__(self, arrays: IdArrays | None = None) -> None:
        values, lengths, text = arrays or (
            np.empty(0, np.int64),
            np.empty(0, np.int32),
            np.empty(0, np.uint8),
        )
        self._values, self._lengths = Growing(values), Growing(lengths)
        self._text = Growing(text)
        self._any_text = len(text) > 0 or bool((lengths >= 0).any())

    def __len__(self) -> int:
        return len(self._values)

    def append(self, ids: Sequence[Id]) -> None:
        """Add ids at the end."""
        if all(type(item_id) is int for item_id in ids):
            self._values.extend(np.array(ids, dtype=np.int64))
            self._lengths.extend(np.full(len(ids), _NUMBER, dtype=np.int32))
            return
        self._any_text = True
        texts = [item_id.encode() if isinstance(item_id, str) else None for item_id in ids]
        sizes = np.array([_NUMBER if text is None else len(text) for text in texts], np.int64)
        written = np.maximum(sizes, 0)
        values = np.cumsum(written) - written + len(self._text)
        for i in np.flatnonzero(sizes < 0).tolist():
            values[i] = ids[i]
        self._values.extend(values)
        self._lengths.extend(sizes.astype(np.int32))
        joined = b"".join(text for text in texts if text is not None)
        self._text.extend(np.frombuffer(joined, dtype=np.uint8))

    def at(self, positions: NDArray[Any]) -> list[Id]:
        """Ids of positions, as they were given."""
        values: list[int] = self._values.array[positions].tolist()
        if not self._any_text:
            return list(values)
        text = self._text.array.data
        lengths = self._lengths.array[positions].tolist()
        return [
            value if length < 0 else str(text[value : value + length], "utf-8")
            for value, length in zip(values, lengths, strict=True)
        ]

    def taken(self, positions: NDArray[Any]) -> Self:
        """Return the ids of these positions alone; their texts are shared."""
        return type(self)(
            IdArrays(
                self._values.array[positions], self._lengths.array[positions], self._text.array
            )
        )

    def packed(self) -> Self:
        """Return the same ids without the text of others."""
        values, lengths = self._values.array.copy(), self._lengths.array
        is_text = lengths >= 0
        sizes = lengths[is_text].astype(np.int64)
        if int(sizes.sum()) == len(self._text):
            return self
        starts = np.cumsum(sizes) - sizes
        parts = np.repeat(values[is_text] - starts, sizes) + np.arange(int(sizes.sum()))
        values[is_text] = starts
        return type(self)(IdArrays(values, lengths, self._text.array[parts]))

    def arrays(self) -> IdArrays:
        """Return the ids as plain arrays; views."""
        return IdArrays(self._values.array, self._lengths.array, self._text.array)
