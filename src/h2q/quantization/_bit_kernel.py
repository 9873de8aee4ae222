"""The search of `h2q.quantization.bit_search`, compiled by numba. Imported where numba is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic

#: `bit_search.FREE` and `bit_search.BARRED`; numba compiles them in.
_FREE: Final = np.int32(-(2**31))
_BARRED: Final = np.int32(2**31 - 1)
_intrinsic: Any = intrinsic


def _jit(**options: Any) -> Callable[[Any], Any]:
    """Compile and keep the result beside this file, or in memory where that cannot be written."""

    def decorate(function: Any) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:
            return numba.njit(**options)(function)

    return decorate


def _ordered(builder: Any, value: Any) -> Any:
    """Reinterpret a float32 as an int32 of the same order."""
    word = ir.IntType(32)
    bits = builder.bitcast(value, word)
    sign = builder.ashr(bits, ir.Constant(word, 31))
    return builder.xor(bits, builder.and_(sign, ir.Constant(word, 2**31 - 1)))


@_intrinsic
def _order(context, value, index_bits):  # type: ignore[no-untyped-def]
    """`bit_search._order` of one number."""

    def generate(context, builder, signature, given):  # type: ignore[no-untyped-def]
        value, index_bits = given
        return builder.and_(_ordered(builder, value), builder.not_(index_bits))

    return numba.int32(numba.float32, numba.int32), generate


@_intrinsic
def _least(context, least, value, index, barred, limit, index_bits):  # type: ignore[no-untyped-def]
    """Return the smaller of `least` and of a change with its bit's number in its last bits.

    numba would widen each step to 64 bits, and half as many would fit a register.
    """

    def generate(context, builder, signature, given):  # type: ignore[no-untyped-def]
        least, value, index, barred, limit, index_bits = given

        def chosen(relation: str, first: Any, second: Any) -> Any:
            return builder.select(builder.icmp_signed(relation, first, second), first, second)

        key = builder.and_(_ordered(builder, value), builder.not_(index_bits))
        free = builder.icmp_signed("<", key, limit)
        key = builder.select(free, key, chosen(">", key, barred))
        return chosen("<", builder.or_(key, index), least)

    word = numba.int32
    return word(word, numba.float32, word, word, word, word), generate


@_jit(nogil=True, error_model="numpy")
def search(changes, signs, twice, n_flips, tenure, index_bits, least_gain):  # type: ignore[no-untyped-def]
    """Improve `signs` (n, k) in place; `changes` holds a of each row.

    `twice`, twice the Gram matrix, is padded with bits that are never flipped.
    """
    n, k = signs.shape
    padded = twice.shape[0]
    s, a = np.ones(padded, np.float32), np.ones(padded, np.float32)
    barred = np.empty(padded, np.int32)
    index = np.arange(padded).astype(np.int32)
    recent = np.zeros(max(tenure, 1), np.int64)
    since_best = np.zeros(n_flips + 1, np.int64)
    for row in range(n):
        for j in range(padded):
            barred[j] = _FREE if j < k else _BARRED
        for j in range(k):
            s[j], a[j] = signs[row, j], changes[row, j]
        gain, best = np.float32(0), np.float32(0)
        bit, flipped, step, since = np.int64(0), np.float32(0), 0, 0
        while True:
            limit = _order(best - least_gain - gain, index_bits)
            found = _BARRED
            # The last flip comes into every change as the least of them is looked for.
            for j in range(padded):
                changed = a[j] - flipped * (s[j] * twice[bit, j])
                a[j] = changed
                found = _least(found, changed, index[j], barred[j], limit, index_bits)
            if step >= n_flips and since > 0:
                break
            bit = np.int64(found & index_bits)
            gain += a[bit]
            flipped = -s[bit]
            s[bit] = flipped
            a[bit] = -a[bit]
            since_best[since] = bit
            since += 1
            if gain < best - least_gain:
                best = gain
                since = 0
            if tenure > 0:
                place = step % tenure
                if step >= tenure:
                    barred[recent[place]] = _FREE
                recent[place] = bit
                barred[bit] = _BARRED
            step += 1
        for number in range(since):
            s[since_best[number]] *= -1
        for j in range(k):
            signs[row, j] = s[j]
