"""faiss binary indexes: `IndexBinaryFlat`, `IndexBinaryIVF`, `IndexBinaryHNSW`, with ids.

The bytes of a code go in as they are: to faiss a binary vector is bytes, and the Hamming distance
does not see their order. faiss counts bits by 8; the filling bits of a shorter last byte are zero
on both sides of every comparison.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from h2q._typing import CodeArray, IntArray
from h2q.codes import code_width
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles.code_file import keep_all, numbers_of
from h2q.rowfiles.faiss_file import opened, read_codes
from h2q.rowfiles.index_process import Index
from h2q.rowfiles.rows import Hints, RowFile
from h2q.rowfiles.sidecar import written_with_items
from h2q.rowfiles.stream import CodeStream

_KIND: Final = "faiss"
IndexKind: TypeAlias = Literal["flat", "ivf", "hnsw"]


def write(
    stream: CodeStream,
    path: Path,
    *,
    index: IndexKind = "flat",
    nlist: int | None = None,
    m: int = 32,
    ef_construction: int = 40,
) -> None:
    """Build an index of all codes in memory and write it (`faiss.read_index_binary` reads it).

    Parameters
    ----------
    stream : CodeStream
    path : Path
    index : {"flat", "ivf", "hnsw"}
    nlist : int, optional
        Lists of "ivf"; by default about the square root of the number of codes.
    m, ef_construction : int
        Of "hnsw".
    """
    everything = stream.gather()
    built = build(everything.codes, index, nlist=nlist, m=m, ef_construction=ef_construction)
    numbers = numbers_of(everything.ids, least=0)  # faiss answers -1 where it finds nothing
    import faiss

    holder = built if index == "ivf" else faiss.IndexBinaryIDMap2(built)
    holder.add_with_ids(everything.codes, numbers)
    with written_with_items(path, _KIND, stream.n_bits) as (file, keep):
        file.write(faiss.serialize_index_binary(holder).data)  # a full disk is our error, then
        keep_all(everything, numbers, keep)


def build(
    codes: CodeArray,
    index: str,
    *,
    nlist: int | None = None,
    m: int = 32,
    ef_construction: int = 40,
) -> Any:
    """Make an empty index for these codes, trained where it has to be."""
    import faiss

    d = 8 * codes.shape[1]
    if index == "flat":
        return faiss.IndexBinaryFlat(d)
    if index == "hnsw":
        graph: Any = faiss.IndexBinaryHNSW(d, m)
        graph.hnsw.efConstruction = ef_construction
        return graph
    if index == "ivf":
        lists = max(1, min(len(codes), round(len(codes) ** 0.5))) if nlist is None else nlist
        if len(codes) < lists:
            raise InvalidInputError(
                f"an ivf of {lists} lists needs as many codes, not {len(codes)}"
            )
        quantizer = faiss.IndexBinaryFlat(d)
        made: Any = faiss.IndexBinaryIVF(quantizer, d, lists)
        made.cp.seed = 0
        made.cp.min_points_per_centroid = 1  # a small export is no reason for a warning
        made.train(codes)
        return made
    raise InvalidInputError(f"the faiss index is 'flat', 'ivf' or 'hnsw', got {index!r}")


def read(path: Path, hints: Hints) -> RowFile:
    """Read the codes and ids back out of an index of those kinds.

    Foreign indexes are taken too. Their n_bits is faiss's, unless the caller knows it is less.
    """
    return read_codes(path, hints, _KIND, "faiss_binary", "a binary faiss index", "msb")


def contents(path: Path) -> Index:
    """Read an index in this process, which a damaged one may end."""
    import faiss

    found = opened(path, faiss.read_index_binary, "a binary faiss index")
    return Index(*_content(found, path), int(found.d))


def _content(index: Any, path: Path) -> tuple[IntArray, CodeArray]:
    """Return the numbers and codes of an index."""
    import faiss

    if isinstance(index, faiss.IndexBinaryIDMap | faiss.IndexBinaryIDMap2):
        inner = faiss.downcast_IndexBinary(index.index)
        rows, codes = _content(inner, path)
        numbers = faiss.vector_to_array(index.id_map)
        if len(numbers) != len(codes):
            raise FormatError(f"{path}: {len(codes)} codes but {len(numbers)} ids")
        return numbers[rows], codes
    if isinstance(index, faiss.IndexBinaryHNSW):
        return _content(faiss.downcast_IndexBinary(index.storage), path)
    if isinstance(index, faiss.IndexBinaryFlat):
        flat: Any = index  # its stub lacks xb
        codes = faiss.vector_to_array(flat.xb).reshape(flat.ntotal, flat.code_size)
        return np.arange(flat.ntotal), codes
    if isinstance(index, faiss.IndexBinaryIVF):
        return _of_lists(index)
    raise FormatError(
        f"{path}: a faiss {type(index).__name__}; codes are read from IndexBinaryFlat, IVF and HNSW"
    )


def _of_lists(index: Any) -> tuple[IntArray, CodeArray]:
    import faiss

    lists, width = index.invlists, code_width(index.d)
    numbers, codes = [np.empty(0, dtype=np.int64)], [np.empty((0, width), dtype=np.uint8)]
    for number in range(index.nlist):
        size = lists.list_size(number)
        if size == 0:
            continue
        numbers.append(faiss.rev_swig_ptr(lists.get_ids(number), size).copy())
        flat = faiss.rev_swig_ptr(lists.get_codes(number), size * width)
        codes.append(flat.reshape(size, width).copy())
    return np.concatenate(numbers), np.concatenate(codes)
