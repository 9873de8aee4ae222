"""Indexes of Milvus for binary vectors, by our names."""

from __future__ import annotations

from typing import Any, Final

from h2q.collections.index_spec import IndexKind, IndexSpec

_TYPES: Final[dict[IndexKind, str]] = {
    "flat": "BIN_FLAT",
    "ivf": "BIN_IVF_FLAT",
    "hnsw": "HNSW",
}
_NAMES: Final = {"m": "M", "ef_construction": "efConstruction", "nlist": "nlist"}
#: A server must be told how many lists there are before there are items.
_LISTS: Final = 1024
_LISTS_SEARCHED: Final = 1 / 16


def filled(index: IndexSpec) -> IndexSpec:
    """Return an index with the options stated that it is built with."""
    if index.kind == "ivf":
        return IndexSpec("ivf", {"nlist": _LISTS, **index.options})
    if index.kind == "hnsw":
        names = ("m", "ef_construction")
        return IndexSpec("hnsw", {**{n: index.option(n) for n in names}, **index.options})
    return index


def build_parameters(index: IndexSpec) -> dict[str, Any]:
    """State an index in Milvus's words."""
    built = filled(index).built_with
    return {
        "index_type": _TYPES[index.kind],
        "metric_type": "HAMMING",
        "params": {_NAMES[name]: value for name, value in built.items()},
    }


def search_parameters(index: IndexSpec, limit: int, *, whole: bool = False) -> dict[str, int]:
    """Parameters of a search for `limit` items; `whole`: look at every list of an ivf."""
    if index.kind == "ivf":
        nlist = filled(index).options["nlist"]
        probed = index.options.get("nprobe", max(8, round(nlist * _LISTS_SEARCHED)))
        return {"nprobe": nlist if whole else min(probed, nlist)}
    if index.kind == "hnsw":
        return {"ef": max(index.option("ef_search"), limit)}
    return {}
