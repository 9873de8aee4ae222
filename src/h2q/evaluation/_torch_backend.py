"""The array operations of the metrics in torch, on the device of the arrays.

Nothing here moves an array off its device but `to_numpy`, which is for results. The sizes of
groups of ties and of distinct codes depend on the data, so each block waits for the device once or
twice to learn them.
"""

from __future__ import annotations

from typing import Any, Final

import array_api_compat.torch as compat_torch
import numpy as np
import torch
from numpy.typing import NDArray

from h2q._typing import Array
from h2q.codes import code_width, pack
from h2q.errors import InvalidInputError
from h2q.evaluation._backend import BLOCK_PAIRS, GRID, unmasked

#: Most pairs worked on at a time: more does not make a GPU faster.
_MOST_PAIRS: Final = 1 << 26
#: Bytes a pair: some ten arrays of 8 bytes, and what sorting needs.
_PAIR_BYTES: Final = 160
#: Queries whose distances are counted at a time.
_QUERIES: Final = 20
#: Codes turned into signs at a time, in entries (256 MiB of float32).
_SIGNS: Final = 1 << 26


class TorchBackend:
    """torch on one device."""

    xp: Any = compat_torch

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._weights = torch.tensor(
            [128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8, device=device
        )

    def asarray(self, values: Any) -> Array:
        if isinstance(values, torch.Tensor):
            return values.detach().to(self.device)
        return torch.as_tensor(unmasked(values), device=self.device)

    def to_numpy(self, x: Array) -> NDArray[Any]:
        return np.asarray(x.cpu())

    def arange(self, n: int) -> Array:
        return torch.arange(n, device=self.device)

    def empty(self, shape: tuple[int, ...], integer: bool = False) -> Array:
        dtype = torch.int64 if integer else torch.float64
        return torch.empty(shape, dtype=dtype, device=self.device)

    def zeros(self, shape: tuple[int, ...]) -> Array:
        return torch.zeros(shape, dtype=torch.float64, device=self.device)

    def block_pairs(self) -> int:
        if self.device.type != "cuda":
            return BLOCK_PAIRS
        free, _ = torch.cuda.mem_get_info(self.device)
        # Half of what is free; the allocator's own reserve counts as taken, so this is careful.
        return max(BLOCK_PAIRS, min(_MOST_PAIRS, int(free) // (2 * _PAIR_BYTES)))

    def cumsum(self, x: Array, axis: int = 0) -> Array:
        return torch.cumsum(x, dim=axis)

    def clip(self, x: Array, high: Array) -> Array:
        return torch.minimum(x.clamp(min=0), high)

    def flatnonzero(self, x: Array) -> Array:
        return torch.nonzero(x.reshape(-1)).reshape(-1)

    def searchsorted(self, ascending: Array, values: Array) -> Array:
        return torch.searchsorted(ascending, values)

    def interp(self, x: Array, xp: Array, fp: Array) -> Array:
        x, xp, fp = x.to(torch.float64), xp.to(torch.float64), fp.to(torch.float64)
        place = (torch.searchsorted(xp, x, right=True) - 1).clamp(0, len(xp) - 2)
        run, rise = xp[place + 1] - xp[place], fp[place + 1] - fp[place]
        # A step of no width is one of no height here: a group without items.
        slope = rise / torch.where(run > 0, run, torch.ones_like(run))
        return fp[place] + slope * (x - xp[place])

    def repeat(self, x: Array, times: int) -> Array:
        return torch.repeat_interleave(x, times)

    def segment_sums(self, values: Array, segments: Array, n: int) -> Array:
        return self.zeros((n,)).index_add_(0, segments, values.to(torch.float64))

    def digamma(self, x: Array) -> Array:
        return torch.digamma(x)

    def norms(self, rows: Array) -> Array:
        return torch.linalg.vector_norm(rows.to(torch.float64), dim=1)

    def pack(self, rows: Array) -> Array:
        return pack(rows)

    def check_codes(self, codes: Array, n_bits: int) -> Array:
        width, filler = code_width(n_bits), -n_bits % 8
        if codes.dtype != torch.uint8 or codes.ndim != 2 or codes.shape[1] != width:
            raise InvalidInputError(
                f"codes of {n_bits} bits are {width} bytes wide (uint8), got {codes.dtype} of "
                f"shape {tuple(codes.shape)}; pass the n_bits the codes were made with"
            )
        if filler and bool((codes[:, -1] & ((1 << filler) - 1)).any()):
            raise InvalidInputError(
                f"codes of {n_bits} bits end in {filler} filling bits that must be zero, but some "
                "are set: the n_bits is wrong or the bits are not MSB first"
            )
        return codes.contiguous()

    def unpack(self, codes: Array, n_bits: int) -> Array:
        bits = (codes[:, :, None] & self._weights) != 0
        return bits.reshape(len(codes), -1)[:, :n_bits].to(torch.uint8)

    def distances(self, query: Array, database: Array, n_bits: int) -> Array:
        # Products of signs: whole numbers of at most n_bits, so exact in float32 and in TF32.
        signs = self.signs(query, n_bits)
        out = torch.empty((len(query), len(database)), dtype=torch.int32, device=self.device)
        step = max(1, _SIGNS // n_bits)
        for start in range(0, len(database), step):
            part = self.signs(database[start : start + step], n_bits)
            out[:, start : start + step] = (n_bits - signs @ part.T) / 2
        return out

    def signs(self, codes: Array, n_bits: int) -> Array:
        return self.unpack(codes, n_bits).to(torch.float32) * 2 - 1

    def unique_codes(self, codes: Array) -> tuple[Array, Array, Array]:
        width = codes.shape[1]
        if width > 8:
            found = torch.unique(codes, dim=0, return_inverse=True, return_counts=True)
            return found[0], found[1], found[2]
        words = torch.zeros(len(codes), dtype=torch.int64, device=self.device)
        for byte in range(width):
            words = (words << 8) | codes[:, byte].to(torch.int64)
        distinct, inverse, counts = torch.unique(words, return_inverse=True, return_counts=True)
        bytes_ = [(distinct >> (8 * byte)) & 255 for byte in reversed(range(width))]
        return torch.stack(bytes_, dim=1).to(torch.uint8), inverse, counts

    def shared(self, query: Array, database: Array) -> Array:
        return (query @ database.T) > 0

    def as_words(self, multi_hot: Array) -> Array:
        return multi_hot.to(torch.float32)

    def sort_keys(self, similarities: Array) -> Array:
        similarities.neg_().add_(1.0).mul_(GRID).round_().clamp_(min=0.0)
        return similarities.to(torch.int64)

    def count_by_distance(self, distances: Array, relevant: Array, width: int) -> Array:
        # A few queries at a time: their bins fit the memory that a block of threads shares, and
        # what is made for them stays in the cache.
        parts = [
            self._count(distances[i : i + _QUERIES], relevant[i : i + _QUERIES], width)
            for i in range(0, len(distances), _QUERIES)
        ]
        return torch.cat(parts)

    def _count(self, distances: torch.Tensor, relevant: torch.Tensor, width: int) -> torch.Tensor:
        b = len(distances)
        rows = torch.arange(b, dtype=torch.int32, device=self.device)[:, None] * (2 * width)
        bins = torch.add(rows, distances, alpha=2).add_(relevant)
        return torch.bincount(bins.reshape(-1), minlength=2 * width * b).reshape(b * width, 2)

    def best_groups(self, keys: Array, relevant: Array, top: int) -> tuple[Array, Array, Array]:
        b, n = keys.shape
        keys *= 2
        keys += relevant  # the relevance travels in the lowest bit
        head = (
            torch.topk(keys, top, dim=1, largest=False, sorted=True).values
            if top < n
            else torch.sort(keys, dim=1).values
        )
        scores = head >> 1
        last = torch.ones((b, top), dtype=torch.bool, device=self.device)
        last[:, :-1] = scores[:, 1:] != scores[:, :-1]
        ends = self.flatnonzero(last)
        rows = ends // top
        totals = self._steps(ends, -1)
        found = self._steps(torch.cumsum((head & 1).reshape(-1), dim=0)[ends], 0)
        if top < n:  # the last group may reach beyond `top`: count the whole of it
            final = torch.searchsorted(rows, self.arange(b), right=True) - 1
            best = (scores[:, -1:] * 2) + 1
            found[final] = torch.sum(keys == best, dim=1)
            totals[final] = found[final] + torch.sum(keys == best - 1, dim=1)
        return rows, totals, found

    def _steps(self, ascending: torch.Tensor, before: int) -> Array:
        steps = ascending.clone()
        steps[1:] -= ascending[:-1]
        steps[:1] -= before
        return steps

    def nearest(self, similarities: Array, k: int) -> Array:
        places = torch.topk(similarities, k, dim=1, sorted=False).indices
        marked = torch.zeros(similarities.shape, dtype=torch.bool, device=self.device)
        return marked.scatter_(1, places, True)
