"""A faiss index that takes raw embeddings: `LinearTransform`, then `IndexLSH`.

The transform does what the quantizer does (centring and PCA where it has them, rotation), the LSH
index takes the signs. faiss needs nothing of h2q to search it with raw embeddings. Scaling rows to
the sphere changes no sign, so it is left out.

`IndexLSH` packs its bits LSB first, so codes are turned round at this border. It takes an exact
zero for a 1, h2q for a 0; apart from that the codes are the same up to float32 rounding of values
next to zero.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from h2q.collections.base import Quantizer
from h2q.errors import FormatError, InvalidInputError
from h2q.quantization.arrays import to_numpy
from h2q.rowfiles.bits import reverse_bits
from h2q.rowfiles.code_file import keep_all, numbers_of
from h2q.rowfiles.faiss_file import opened, read_codes
from h2q.rowfiles.index_process import Index
from h2q.rowfiles.rows import Hints, RowFile
from h2q.rowfiles.sidecar import written_with_items
from h2q.rowfiles.stream import CodeStream

_KIND: Final = "faiss-lsh"


def write(stream: CodeStream, path: Path, *, quantizer: Quantizer | None = None) -> None:
    """Write the chain with all codes in it (`faiss.read_index` reads it).

    Parameters
    ----------
    stream : CodeStream
    path : Path
    quantizer : fitted quantizer of `h2q.quantization`
        The one that made the codes.

    Raises
    ------
    InvalidInputError
        If it is missing or of another code length.
    """
    if quantizer is None:
        raise InvalidInputError(
            "faiss-lsh holds the quantizer too, and the collection keeps none; give the one that "
            "made the codes, or export to faiss"
        )
    if int(quantizer.n_bits_) != stream.n_bits:
        raise InvalidInputError(
            f"the quantizer makes {quantizer.n_bits_} bits, the codes have {stream.n_bits}"
        )
    import faiss

    everything = stream.gather()
    numbers = numbers_of(everything.ids, least=0)
    lsh = faiss.IndexLSH(stream.n_bits, stream.n_bits, False, False)
    holder = faiss.IndexIDMap2(lsh)
    holder.add_sa_codes(reverse_bits(everything.codes), numbers)
    transform = linear_transform(quantizer)
    chain = faiss.IndexPreTransform(transform, holder)
    with written_with_items(path, _KIND, stream.n_bits, bit_order="lsb") as (file, keep):
        file.write(faiss.serialize_index(chain).data)  # a full disk is our error, then
        keep_all(everything, numbers, keep)


def linear_transform(quantizer: Any) -> Any:
    """Return the quantizer as a `faiss.LinearTransform`: raw rows to rotated rows, unscaled.

    Parameters
    ----------
    quantizer : fitted quantizer of `h2q.quantization`
    """
    import faiss

    rotation = to_numpy(quantizer.rotation_).astype(np.float64)
    mean, components = quantizer.mean_, quantizer.components_
    matrix = rotation.T
    if components is not None:
        matrix = matrix @ to_numpy(components).astype(np.float64)
    bias = np.zeros(len(matrix))
    if mean is not None:
        bias = -(matrix @ to_numpy(mean).astype(np.float64))
    transform = faiss.LinearTransform(matrix.shape[1], matrix.shape[0], True)
    faiss.copy_array_to_vector(np.ascontiguousarray(matrix, dtype=np.float32).ravel(), transform.A)
    faiss.copy_array_to_vector(bias.astype(np.float32), transform.b)
    transform.is_trained = True
    return transform


def read(path: Path, hints: Hints) -> RowFile:
    """Read the codes and ids of an `IndexLSH`, behind transforms and with ids or without."""
    return read_codes(path, hints, _KIND, "faiss_lsh", "a faiss index", "lsb")


def contents(path: Path) -> Index:
    """Read an index in this process, which a damaged one may end."""
    import faiss

    found = opened(path, faiss.read_index, "a faiss index")
    inner, numbers = found, None
    while not isinstance(inner, faiss.IndexLSH):
        if isinstance(inner, faiss.IndexIDMap | faiss.IndexIDMap2):
            numbers = faiss.vector_to_array(inner.id_map)
        elif not isinstance(inner, faiss.IndexPreTransform):
            raise FormatError(
                f"{path}: a faiss {type(inner).__name__}, where an IndexLSH is needed"
            )
        inner = faiss.downcast_index(inner.index)
    codes = faiss.vector_to_array(inner.codes).reshape(inner.ntotal, inner.code_size)
    if numbers is None:
        numbers = np.arange(len(codes))
    return Index(numbers, codes, int(inner.nbits))
