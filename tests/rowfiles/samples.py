"""Codes with ids and payloads of many kinds, and the neighbours other libraries must recover."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q.codes import hamming_distances, pack
from h2q.collections.base import Batch, Id
from h2q.rowfiles import CodeStream, stream_of_codes

KINDS = ("int", "str", "mixed")


def sample(n_bits: int = 64, n: int = 300, ids: str = "int", payloads: bool = True) -> CodeStream:
    rng = np.random.default_rng(n_bits + n)
    codes = pack(rng.normal(size=(n, n_bits)))
    return stream_of_codes(
        codes, n_bits, ids_of(ids, n), [payload(i) for i in range(n)] if payloads else None
    )


def ids_of(kind: str, n: int) -> list[Id]:
    numbers = [int(i) for i in np.random.default_rng(1).permutation(10 * n)[:n]]
    if kind == "int":
        return list(numbers)
    names = [f"фото/{i},\n'x\".jpg" for i in numbers]
    return list(names) if kind == "str" else [str(i) if i % 2 else i for i in numbers]


def payload(i: int) -> dict[str, Any] | None:
    if i % 7 == 3:
        return None
    return {
        "label": f'cat\t{i % 4}, "ü"',
        "year": 2000 + i,
        "score": i / 3,
        "good": i % 2 == 0,
        "tags": ["a", {"b": None}],
        "either": i if i % 5 else "text",
        "huge": 10**30,
        "id": "shadow",
        **({"rare": 1} if i == 11 else {}),
    }


def same(found: Batch, expected: Batch, *, payloads: bool = True, ids: bool = True) -> None:
    """Both hold the same items; some formats give them back in another order."""
    assert len(found.ids) == len(expected.ids)
    place: dict[Any, int] = {(type(each), each): i for i, each in enumerate(found.ids)}
    order = [place[type(each), each] for each in expected.ids] if ids else range(len(expected.ids))
    np.testing.assert_array_equal(found.codes[list(order)], expected.codes)
    if payloads:
        assert [found.payloads[i] for i in order] == expected.payloads


def sorted_distances(codes: NDArray[np.uint8], queries: NDArray[np.uint8], k: int) -> Any:
    """Distances of the k nearest codes: the same whatever the order of ties."""
    return np.sort(hamming_distances(queries, codes), axis=1)[:, :k]


def queries_for(n_bits: int, n: int = 20) -> NDArray[np.uint8]:
    return np.asarray(pack(np.random.default_rng(99).normal(size=(n, n_bits))))


def check_neighbours(
    stream: CodeStream, queries: NDArray[np.uint8], ids: Any, distances: Any, k: int
) -> None:
    """Ids and distances another library found are true, and the nearest."""
    everything = stream.gather()
    row = {each: i for i, each in enumerate(everything.ids)}
    table = hamming_distances(queries, everything.codes)
    np.testing.assert_array_equal(
        np.asarray(distances, dtype=np.int64), sorted_distances(everything.codes, queries, k)
    )
    for query, (found, near) in enumerate(zip(ids, distances, strict=True)):
        assert [table[query, row[each]] for each in found] == list(near)
