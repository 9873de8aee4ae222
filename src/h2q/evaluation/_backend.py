"""The array operations of the metrics, for numpy here and for torch in `_torch_backend`.

A metric is computed where its arrays are. Rows on an accelerator stay there: distances, sorting
and sums are torch's, and only values a query (or a cut-off) come back. Everything else, torch
tensors on the CPU included (whose memory numpy shares), is computed by numpy.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import array_api_compat
import array_api_compat.numpy as compat_numpy
import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from h2q._typing import Array, CodeArray
from h2q.codes import check_codes, hamming_distances, pack, unpack, unpack_signs
from h2q.errors import InvalidInputError

#: Similarities in [-1, 1] are compared on a grid of this step (6e-14): far finer than float32, and
#: coarse enough that equal items tie however the matrix product was blocked.
GRID: Final = 2.0**44
SIMILARITY_BITS: Final = 47
#: Sorts behind every key.
OUTSIDE: Final = 1 << 61
#: Query-item pairs worked on at a time; some ten arrays of 8 bytes a pair live at once.
BLOCK_PAIRS: Final = 1 << 21


def unmasked(values: Any) -> NDArray[Any]:
    """Return an array of numpy; refuse one that is masked, for the mask would be lost."""
    if np.ma.is_masked(values):
        raise InvalidInputError(
            "rows or labels are masked, and a mask would be lost; leave the masked ones out"
        )
    return np.asarray(values)


class Backend(Protocol):
    """What the metrics need of an array library beyond the array-API standard."""

    #: Namespace of the array-API standard.
    xp: Any

    def asarray(self, values: Any) -> Array:
        """Bring an array of any kind here."""

    def to_numpy(self, x: Array) -> NDArray[Any]:
        """Bring an array to the CPU; for results only."""

    def arange(self, n: int) -> Array:
        """Return 0 to n - 1, int64."""

    def empty(self, shape: tuple[int, ...], integer: bool = False) -> Array:
        """Return an array of float64, or int64, to be filled."""

    def zeros(self, shape: tuple[int, ...]) -> Array:
        """Return zeros, float64."""

    def block_pairs(self) -> int:
        """Query-item pairs to work on at a time."""

    def cumsum(self, x: Array, axis: int = 0) -> Array:
        """Return running sums."""

    def clip(self, x: Array, high: Array) -> Array:
        """Return `x`, at least 0 and at most `high`."""

    def flatnonzero(self, x: Array) -> Array:
        """Return the places of what is not zero."""

    def searchsorted(self, ascending: Array, values: Array) -> Array:
        """Return the first place of each value."""

    def interp(self, x: Array, xp: Array, fp: Array) -> Array:
        """Interpolate linearly between the points (xp, fp)."""

    def repeat(self, x: Array, times: int) -> Array:
        """Return every entry `times` times."""

    def segment_sums(self, values: Array, segments: Array, n: int) -> Array:
        """Return the sums (float64) of the values in each of n segments."""

    def digamma(self, x: Array) -> Array:
        """Return the logarithmic derivative of the gamma function."""

    def norms(self, rows: Array) -> Array:
        """Return the Euclidean length of each row, in float64."""

    def pack(self, rows: Array) -> CodeArray:
        """Return packed codes."""

    def check_codes(self, codes: Array, n_bits: int) -> CodeArray:
        """Return packed codes, or say what is wrong with them."""

    def unpack(self, codes: CodeArray, n_bits: int) -> Array:
        """Return bits 0 and 1, uint8 (n, n_bits)."""

    def signs(self, codes: CodeArray, n_bits: int) -> Array:
        """Return -1 and +1, float32 (n, n_bits)."""

    def distances(self, query: CodeArray, database: CodeArray, n_bits: int) -> Array:
        """Return Hamming distances, (b, n) of int32."""

    def unique_codes(self, codes: CodeArray) -> tuple[CodeArray, Array, Array]:
        """Return the distinct codes, which of them each code is, and how often each occurs."""

    def shared(self, query: Array, database: Array) -> Array:
        """Whether rows of `as_words` share a bit, bool (b, n)."""

    def as_words(self, multi_hot: Array) -> Array:
        """Return multi-hot rows in the form that `shared` compares."""

    def sort_keys(self, similarities: Array) -> Array:
        """Turn similarities (b, n) in [-1, 1] into int64 that sort best first; overwrites them."""

    def count_by_distance(self, distances: Array, relevant: Array, width: int) -> Array:
        """Count items, and relevant ones, at each distance: (b * width, 2)."""

    def best_groups(self, keys: Array, relevant: Array, top: int) -> tuple[Array, Array, Array]:
        """Return query, size and relevant items of each group of equal keys among the best."""

    def nearest(self, similarities: Array, k: int) -> Array:
        """Mark the k largest of each row, bool (b, n)."""


class NumpyBackend:
    """numpy and scipy."""

    xp: Any = compat_numpy

    def asarray(self, values: Any) -> NDArray[Any]:
        if not isinstance(values, np.ndarray) and array_api_compat.is_torch_array(values):
            values = values.detach().cpu()
            if values.is_floating_point() and values.itemsize < 4:  # numpy has no bfloat16
                values = values.float()
        return unmasked(values)

    def to_numpy(self, x: Array) -> NDArray[Any]:
        return np.asarray(x)

    def arange(self, n: int) -> NDArray[np.int64]:
        return np.arange(n, dtype=np.int64)

    def empty(self, shape: tuple[int, ...], integer: bool = False) -> NDArray[Any]:
        return np.empty(shape, dtype=np.int64 if integer else np.float64)

    def zeros(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        return np.zeros(shape)

    def block_pairs(self) -> int:
        return BLOCK_PAIRS

    def cumsum(self, x: Array, axis: int = 0) -> NDArray[Any]:
        return np.asarray(np.cumsum(x, axis=axis))

    def clip(self, x: Array, high: Array) -> NDArray[Any]:
        return np.asarray(np.clip(x, 0, high))

    def flatnonzero(self, x: Array) -> NDArray[np.intp]:
        return np.flatnonzero(x)

    def searchsorted(self, ascending: Array, values: Array) -> NDArray[np.intp]:
        return np.asarray(np.searchsorted(ascending, values))

    def interp(self, x: Array, xp: Array, fp: Array) -> NDArray[np.float64]:
        return np.asarray(np.interp(x, xp, fp))

    def repeat(self, x: Array, times: int) -> NDArray[Any]:
        return np.repeat(x, times)

    def segment_sums(self, values: Array, segments: Array, n: int) -> NDArray[np.float64]:
        # The empty sum is of integers.
        return np.bincount(segments, weights=values, minlength=n).astype(np.float64)

    def digamma(self, x: Array) -> NDArray[np.float64]:
        return np.asarray(digamma(x))

    def norms(self, rows: Array) -> NDArray[np.float64]:
        return np.asarray(np.linalg.norm(rows.astype(np.float64), axis=1))

    def pack(self, rows: Array) -> CodeArray:
        codes: CodeArray = pack(rows)
        return codes

    def check_codes(self, codes: Array, n_bits: int) -> CodeArray:
        return check_codes(codes, n_bits)

    def unpack(self, codes: CodeArray, n_bits: int) -> NDArray[np.uint8]:
        return unpack(codes, n_bits)

    def signs(self, codes: CodeArray, n_bits: int) -> NDArray[np.float32]:
        return unpack_signs(codes, n_bits)

    def distances(self, query: CodeArray, database: CodeArray, n_bits: int) -> NDArray[np.int32]:
        return hamming_distances(query, database)

    def unique_codes(self, codes: CodeArray) -> tuple[CodeArray, NDArray[Any], NDArray[Any]]:
        codes = np.ascontiguousarray(codes)
        width = codes.shape[1]
        # Each code as one item, so that numpy sorts whole codes.
        items = codes.view(f"u{width}" if width in (1, 2, 4, 8) else f"V{width}").ravel()
        distinct, inverse, counts = np.unique(items, return_inverse=True, return_counts=True)
        return distinct.view(np.uint8).reshape(len(distinct), width), inverse, counts

    def shared(self, query: Array, database: Array) -> NDArray[np.bool_]:
        relevant = np.zeros((len(query), len(database)), dtype=np.bool_)
        for word in range(query.shape[1]):
            relevant |= (query[:, None, word] & database[None, :, word]) != 0
        return relevant

    def as_words(self, multi_hot: Array) -> NDArray[np.uint64]:
        packed = np.packbits(multi_hot, axis=1)
        return np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8))).view(np.uint64)

    def sort_keys(self, similarities: Array) -> NDArray[np.int64]:
        np.subtract(1.0, similarities, out=similarities)
        similarities *= GRID
        np.rint(similarities, out=similarities)
        np.maximum(similarities, 0.0, out=similarities)
        return np.asarray(similarities.astype(np.int64))

    def count_by_distance(self, distances: Array, relevant: Array, width: int) -> NDArray[np.int64]:
        b = len(distances)
        # A counting sort: one bin a query, distance and relevance.
        bins = distances.astype(np.int64)
        bins <<= 1
        bins |= relevant
        bins += np.arange(b, dtype=np.int64)[:, None] * (2 * width)
        counts = np.bincount(bins.ravel(), minlength=2 * width * b)
        return counts.reshape(b * width, 2)

    def best_groups(
        self, keys: Array, relevant: Array, top: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        b, n = keys.shape
        keys <<= 1
        keys |= relevant  # the relevance travels in the lowest bit, so one plain sort does it all
        if top < n:
            keys.partition(top - 1, axis=1)
        head = np.sort(keys[:, :top], axis=1)
        scores = head >> 1
        last = np.ones((b, top), dtype=np.bool_)
        np.not_equal(scores[:, 1:], scores[:, :-1], out=last[:, :-1])
        ends = np.flatnonzero(last)
        rows = ends // top
        totals = np.diff(ends, prepend=-1)
        found = np.diff(np.cumsum(head & 1)[ends], prepend=0)
        if top < n:  # the last group may reach beyond `top`: count the whole of it
            final = np.searchsorted(rows, np.arange(b), side="right") - 1
            best = (scores[:, -1:] << 1) | 1
            found[final] = np.count_nonzero(keys == best, axis=1)
            totals[final] = found[final] + np.count_nonzero(keys == best - 1, axis=1)
        return rows, totals, found

    def nearest(self, similarities: Array, k: int) -> NDArray[np.bool_]:
        places = np.argpartition(similarities, -k, axis=1)[:, -k:]
        marked = np.zeros(similarities.shape, dtype=np.bool_)
        np.put_along_axis(marked, places, True, axis=1)
        return marked


NUMPY: Final = NumpyBackend()


def backend_for(*arrays: Array) -> Backend:
    """Return the backend of the device that the arrays are on.

    An array on the CPU follows one on an accelerator.

    Raises
    ------
    InvalidInputError
        If they are on different accelerators.
    """
    devices = {
        array.device
        for array in arrays
        if array_api_compat.is_torch_array(array) and _has_own_backend(array.device)
    }
    if len(devices) > 1:
        names = ", ".join(sorted(map(str, devices)))
        raise InvalidInputError(f"the arrays are on different devices ({names}); move them to one")
    if not devices:
        return NUMPY
    from h2q.evaluation._torch_backend import TorchBackend

    return TorchBackend(devices.pop())


def _has_own_backend(device: Any) -> bool:
    """Whether arrays stay on this torch device: it is no CPU and has float64, which mps has not."""
    return device.type not in ("cpu", "mps")
