"""faiss's binary indexes: made empty, ready for codes to be added."""

from __future__ import annotations

import math
from typing import Any, Final

import faiss
import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.index_spec import IndexSpec

#: Codes a cluster of IVF is trained with, at most.
_TRAINED_WITH: Final = 64
#: Keys longer than this find no more items, but take more flips of bits.
_LONGEST_KEY: Final = 24


def make_empty(spec: IndexSpec, codes: CodeArray) -> Any:
    """Return an index without codes, trained where it needs that on `codes`.

    Parameters
    ----------
    spec : IndexSpec
        "ivf", "hnsw" or "mih".
    codes : ndarray of shape (n, width), uint8
        The codes it will hold.
    """
    n_bits = 8 * codes.shape[1]
    if spec.kind == "ivf":
        return _ivf(spec, codes, n_bits)
    if spec.kind == "hnsw":
        index = faiss.IndexBinaryHNSW(n_bits, spec.option("m"))
        index.hnsw.efConstruction = spec.option("ef_construction")
        return index
    key = min(_LONGEST_KEY, max(4, round(math.log2(max(2, len(codes))))), n_bits)
    n_maps = min(spec.options.get("n_maps", max(1, n_bits // key)), n_bits)
    return faiss.IndexBinaryMultiHash(n_bits, n_maps, min(_LONGEST_KEY, n_bits // n_maps))


def default_nprobe(nlist: int) -> int:
    """Return how many lists are searched where the caller does not say."""
    return max(8, nlist // 16)


def serialized(index: Any) -> NDArray[np.uint8]:
    """Return an index as bytes."""
    data: NDArray[np.uint8] = faiss.serialize_index_binary(index)
    return data


def deserialized(data: NDArray[np.uint8]) -> Any:
    """Return the index of these bytes; raises `RuntimeError` where they are not one."""
    return faiss.deserialize_index_binary(np.ascontiguousarray(data))


def _ivf(spec: IndexSpec, codes: CodeArray, n_bits: int) -> Any:
    nlist = min(spec.options.get("nlist", max(16, round(2 * math.sqrt(len(codes))))), len(codes))
    coarse = faiss.IndexBinaryFlat(n_bits)
    index = faiss.IndexBinaryIVF(coarse, n_bits, nlist)
    index.cp.min_points_per_centroid = 1  # else it warns on stdout
    index.cp.seed = 0
    sample = np.linspace(0, len(codes) - 1, min(len(codes), _TRAINED_WITH * nlist)).astype(int)
    index.train(np.ascontiguousarray(codes[sample]))
    return index
