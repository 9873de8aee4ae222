"""ann-benchmarks HDF5: train, test, neighbors and distances; Hamming data sets of booleans.

Real data sets are read as embeddings. Rows of codes are booleans, a column a bit, so there is no
order of bits. Distances are the share of the bits that differ, as ann-benchmarks has them.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._files import write_whole
from h2q._foreign import ALWAYS, RATIO, check_share, reading, size_of
from h2q._lazy import require
from h2q._paths import as_path
from h2q._typing import Array, CodeArray, RandomState, StrPath
from h2q.codes import check_codes, code_width, pack, unpack
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles.ids import id_kind, ids_as_column, ids_from_column
from h2q.rowfiles.rows import Hints, RowFile, Rows, check_embeddings, check_stated, refuse_key
from h2q.rowfiles.stream import CodeStream

_BLOCK: Final = 10_000
#: Texts read at a time.
_TEXTS: Final = 64


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A Hamming data set of ann-benchmarks.

    Attributes
    ----------
    n_bits : int
    train, test : ndarray of shape (n, ceil(n_bits / 8)) and (nq, ...), uint8
        Packed codes: the database and the queries.
    neighbors : ndarray of shape (nq, k), int32
        Rows of `train`, the nearest first.
    distances : ndarray of shape (nq, k), float32
        Share of the bits that differ.
    """

    n_bits: int
    train: CodeArray
    test: CodeArray
    neighbors: NDArray[np.int32]
    distances: NDArray[np.float32]


def write(
    stream: CodeStream,
    path: Path,
    *,
    queries: Array | None = None,
    n_queries: int = 1000,
    k: int = 100,
    random_state: RandomState = 0,
) -> None:
    """Write a data set with exact neighbours.

    Parameters
    ----------
    stream : CodeStream
    path : Path
    queries : array of shape (nq, ceil(n_bits / 8)), uint8, optional
        Packed codes. By default `n_queries` of the items, at most a tenth, drawn with the seed,
        are queries and not in the database.
    n_queries, k : int
        Queries to draw; neighbours a query.
    random_state : int, Generator or None
    """
    import faiss

    h5py = require("h5py", "interchange")
    everything = stream.gather()
    train, ids = everything.codes, everything.ids
    if queries is None:
        count = min(n_queries, len(train) // 10)
        if count < 1:
            raise InvalidInputError(
                f"{len(train)} codes are too few to draw queries from; give queries"
            )
        order = np.random.default_rng(_seed(random_state)).permutation(len(train))
        held, kept = np.sort(order[:count]), np.sort(order[count:])
        test, train, ids = train[held], train[kept], [ids[row] for row in kept.tolist()]
    else:
        test = check_codes(queries, stream.n_bits)
    index = faiss.IndexBinaryFlat(8 * train.shape[1])
    index.add(train)
    distances, neighbors = index.search(test, min(k, len(train)))
    kind = id_kind(ids) or "str"
    # In memory, where all of it is anyway: h5py ends the process on a disk that is full.
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs.update(
            type="dense", distance="hamming", point_type="bit", dimension=stream.n_bits,
            h2q_id_kind=kind,
        )  # fmt: skip
        _write_bits(file, "train", train, stream.n_bits)
        _write_bits(file, "test", test, stream.n_bits)
        file.create_dataset("neighbors", data=neighbors.astype(np.int32))
        shares = distances.astype(np.float32) / np.float32(stream.n_bits)
        file.create_dataset("distances", data=shares)
        column = ids_as_column(ids, kind)
        text = h5py.string_dtype("utf-8")
        file.create_dataset(
            "h2q_ids", data=column, dtype=np.int64 if kind == "int" else text, shape=(len(column),)
        )
    write_whole(path, content.getvalue())


def read(path: Path, hints: Hints) -> RowFile:
    """Open the database (`train`): bits or signs are codes, real rows embeddings."""
    name = str(path)
    refuse_key(hints, name, "a data set of ann-benchmarks")
    with _opened(path, real=hints.kind != "codes") as file:
        shape, dtype = file["train"].shape, file["train"].dtype
        kind = str(file.attrs.get("h2q_id_kind", ""))
        has_ids = "h2q_ids" in file and kind in ("int", "str", "json")
        if has_ids and file["h2q_ids"].shape != shape[:1]:
            raise FormatError(f"{path}: {shape[0]} codes but {file['h2q_ids'].shape[0]} ids")
    count, n_bits = (int(each) for each in shape)
    if dtype.kind == "f" or hints.kind == "embeddings":
        check_embeddings(shape, dtype, name)

        def embeddings(start: int, stop: int) -> Rows:
            with _opened(path, real=True) as file:
                return Rows(np.asarray(file["train"][start:stop]))

        return RowFile(name, "embeddings", count, n_bits, None, embeddings, dtype=str(dtype))
    check_stated(name, hints, n_bits=n_bits, bit_order="none")
    with _opened(path) as file:
        _bits(file["train"][:_BLOCK], name)  # what is no matrix of bits is refused at once

    def codes(start: int, stop: int) -> Rows:
        with _opened(path) as file:
            packed = _bits(file["train"][start:stop], name)
            ids = None
            if has_ids:
                column = file["h2q_ids"]
                values = column[start:stop] if kind == "int" else _texts(column, start, stop, path)
                ids = ids_from_column(values, kind, name)  # type: ignore[arg-type]
            return Rows(packed, ids)

    return RowFile(name, "codes", count, code_width(n_bits), n_bits, codes)


def _texts(column: Any, start: int, stop: int, path: Path) -> list[str]:
    """Read texts a few at a time: many may be the same megabyte of the file."""
    texts: list[str] = []
    left = max(ALWAYS, RATIO * size_of(path))
    for first in range(start, stop, _TEXTS):
        found = column.asstr()[first : min(first + _TEXTS, stop)].tolist()
        left -= sum(map(len, found))
        if left < 0:
            raise FormatError(f"{path}: its ids are far longer than the file")
        texts += found
    return texts


def _bits(values: Any, name: str) -> CodeArray:
    """Pack bits, given as booleans, as 0 and 1 or as -1 and +1."""
    bits = np.asarray(values)
    for pair in ((0, 1), (-1, 1)):
        if bits.dtype.kind == "b" or np.isin(bits, pair).all():
            packed: CodeArray = pack(bits > 0)
            return packed
    raise FormatError(
        f"{name}: 'train' holds {bits.dtype} such as {bits.max().item()}, where bits are 0 and 1 "
        "(or -1 and +1), a column each; unpack packed codes with numpy.unpackbits(axis=1) first"
    )


def read_benchmark(path: StrPath) -> Benchmark:
    """Read a whole data set: database, queries and their true neighbours.

    Raises
    ------
    FormatError
        If it is no Hamming data set of ann-benchmarks, or damaged.
    """
    with _opened(as_path(path)) as file:
        missing = {"test", "neighbors", "distances"} - set(file.keys())
        if missing:
            raise FormatError(f"{path}: lacks {', '.join(sorted(missing))}")
        n_bits = int(file["train"].shape[1])
        return Benchmark(
            n_bits,
            np.concatenate(
                [
                    _bits(file["train"][start : start + _BLOCK], str(path))
                    for start in range(0, max(1, len(file["train"])), _BLOCK)
                ]
            ),
            _bits(file["test"], str(path)),
            np.asarray(file["neighbors"], dtype=np.int32),
            np.asarray(file["distances"], dtype=np.float32),
        )


def _write_bits(file: Any, name: str, codes: CodeArray, n_bits: int) -> None:
    chunk = (min(max(len(codes), 1), 1024), n_bits)
    data = file.create_dataset(
        name, (len(codes), n_bits), dtype=np.bool_, chunks=chunk, compression="gzip"
    )
    for start in range(0, len(codes), _BLOCK):
        data[start : start + _BLOCK] = unpack(codes[start : start + _BLOCK], n_bits).astype(bool)


@contextmanager
def _opened(path: Path, *, real: bool = False) -> Iterator[Any]:
    h5py = require("h5py", "interchange")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        if not path.exists():
            raise
        raise FormatError(f"{path}: not an HDF5 file, or a truncated one ({error})") from error
    with file, reading(path, "a data set of ann-benchmarks"):
        size = size_of(path)
        for name in ("train", "test", "neighbors", "distances", "h2q_ids"):
            if name in file:
                _check_plain(file, name, path, size)
        train = file.get("train")
        if getattr(train, "ndim", 0) != 2 or train.dtype.kind not in ("biuf" if real else "biu"):
            raise FormatError(
                f"{path}: not a Hamming data set of ann-benchmarks: there is no two-dimensional "
                "'train' of bits"
            )
        yield file


def _check_plain(file: Any, name: str, path: Path, size: int) -> None:
    """Refuse a data set whose numbers are not in the file, or are far more than its size.

    HDF5 has links to other files, data sets put together of others, raw data in any file of this
    machine, and values that fill what was never written.
    """
    h5py = require("h5py", "interchange")
    link, data = file.get(name, getlink=True), file[name]
    if not isinstance(link, h5py.HardLink) or not isinstance(data, h5py.Dataset):
        raise FormatError(f"{path}: {name!r} is a link or a group, not a data set of this file")
    if data.is_virtual or data.external:
        raise FormatError(f"{path}: {name!r} takes its numbers from other files")
    width = max(1, data.dtype.itemsize)
    chunk = math.prod(data.chunks or (0,)) * width
    claimed = max(math.prod(data.shape) * width, chunk, *data.shape)
    check_share(path, size, claimed, f"write {name!r} without compression")


def _seed(random_state: RandomState) -> Any:
    if isinstance(random_state, np.random.RandomState):
        return random_state.randint(2**31)
    return random_state
