"""The search of `h2q.quantization.bit_search`, compiled by numba. Imported where numba is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np

#: Bits looked at together for one that is wrong; `bit_search.GROUP` pads to it.
_GROUP: Final = 16
#: The signs of two float32 in one word.
_SIGN_BITS: Final = np.uint64(0x8000000080000000)
_NONE: Final = np.uint64(0)


def _jit(**options: Any) -> Callable[[Any], Any]:
    """Compile and keep the result beside this file, or in memory where that cannot be written."""

    def decorate(function: Any) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:
            return numba.njit(**options)(function)

    return decorate


@_jit(inline="always")
def _flip(h, s, twice, i):  # type: ignore[no-untyped-def]
    flipped = -s[i]
    s[i] = flipped
    row = twice[i]
    for j in range(h.shape[0]):
        h[j] -= flipped * row[j]


@_jit(inline="always")
def _descend(h, s, h_words, s_words, twice, gain):  # type: ignore[no-untyped-def]
    """Flip what is wrong, in cyclic order, until a whole round finds nothing."""
    groups = h.shape[0] // _GROUP
    quiet, group = 0, 0
    while quiet < groups:
        # Signs differ where a bit may be wrong: 16 are looked at in a few instructions.
        differ = _NONE
        for word in range(group * (_GROUP // 2), (group + 1) * (_GROUP // 2)):
            differ |= h_words[word] ^ s_words[word]
        quiet += 1
        if differ & _SIGN_BITS != _NONE:
            for i in range(group * _GROUP, (group + 1) * _GROUP):
                change = s[i] * h[i]
                if change < 0:
                    gain += change
                    _flip(h, s, twice, i)
                    quiet = 0
        group += 1
        if group == groups:
            group = 0
    return gain


@_jit(nogil=True, error_model="numpy")
def search(linear, signs, twice, kicks, least):  # type: ignore[no-untyped-def]
    """Improve `signs` (n, k) in place; `linear` holds h of each row, `twice` twice the Gram matrix.

    `twice` is padded to whole groups of bits, whose entries stay at +1 and are never wrong.
    """
    n, k = linear.shape
    padded = twice.shape[0]
    h, s = np.ones(padded, np.float32), np.ones(padded, np.float32)
    tried_h, tried_s = np.ones(padded, np.float32), np.ones(padded, np.float32)
    h_words, s_words = h.view(np.uint64), s.view(np.uint64)
    tried_h_words, tried_s_words = tried_h.view(np.uint64), tried_s.view(np.uint64)
    for row in range(n):
        for j in range(k):
            h[j], s[j] = linear[row, j], signs[row, j]
        _descend(h, s, h_words, s_words, twice, np.float32(0))
        for kick in range(kicks.shape[0]):
            gain = np.float32(0)
            for j in range(padded):
                tried_h[j], tried_s[j] = h[j], s[j]
            for number in range(kicks.shape[1]):
                i = kicks[kick, number]
                gain += tried_s[i] * tried_h[i]
                _flip(tried_h, tried_s, twice, i)
            gain = _descend(tried_h, tried_s, tried_h_words, tried_s_words, twice, gain)
            if gain < least:
                for j in range(padded):
                    h[j], s[j] = tried_h[j], tried_s[j]
        for j in range(k):
            signs[row, j] = s[j]
