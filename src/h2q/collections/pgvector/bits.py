"""Packed codes as PostgreSQL's `bit(n)`, in its binary form: the number of bits, then the bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

from h2q._typing import CodeArray

_BIT_OID: Final = 1560
_LENGTH_BYTES: Final = 4


class Bits(NamedTuple):
    """A code as a parameter of a statement."""

    code: bytes
    n_bits: int


class _BitsDumper(Dumper):
    format = Format.BINARY
    oid = _BIT_OID

    def dump(self, obj: Bits) -> Buffer:
        return obj.n_bits.to_bytes(_LENGTH_BYTES, "big") + obj.code


def register_bits(connection: psycopg.Connection[Any]) -> None:
    """Let statements of this connection take `Bits`."""
    connection.adapters.register_dumper(Bits, _BitsDumper)


def codes_of(values: Iterable[bytes], width: int) -> CodeArray:
    """Codes (n, width), uint8, of `bit(n)` values as a binary result has them."""
    data: NDArray[np.uint8] = np.frombuffer(b"".join(values), dtype=np.uint8)
    rows = data.reshape(-1, _LENGTH_BYTES + width)
    lengths = rows[:, :_LENGTH_BYTES]
    # Of any other length, two may yet have as many bytes as two of the right one.
    if len(rows) and ((lengths != lengths[0]).any() or -(-_number(lengths[0]) // 8) != width):
        raise ValueError("codes of other lengths")
    return rows[:, _LENGTH_BYTES:]


def _number(length: NDArray[np.uint8]) -> int:
    return int.from_bytes(length.tobytes(), "big")
