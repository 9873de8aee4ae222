"""Shards: files that together hold rows of embeddings, or packed codes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles.arrays import Archive, read_header, read_rows
from h2q.rowfiles.storage import (
    FoundFile,
    find_files,
    is_folder,
    is_pattern,
    join,
    open_file,
    read_bytes,
)
from h2q.rowfiles.tables import describe_table, read_table

SUFFIXES: Final = (".npy", ".npz", ".parquet")
#: Name of the file that lists the parts of a folder that `embed` or `encode` wrote.
MANIFEST: Final = "manifest.json"
USUAL_KEYS: Final = ("features", "embeddings", "embedding", "vectors", "vector", "X", "z")

Kind = Literal["embeddings", "codes"]


@dataclass(frozen=True)
class Shard:
    """One file of rows.

    Attributes
    ----------
    file : FoundFile
    kind : {"embeddings", "codes"}
    n_rows, width : int
        Shape: columns of embeddings, bytes of codes.
    n_bits : int or None
        Length of codes.
    key : str or None
        Array or column that holds the rows.
    id_base : str or None
        Rows without ids are called ``id_base:row``, or ``row`` where this is None.
    """

    file: FoundFile
    kind: Kind
    n_rows: int
    width: int
    n_bits: int | None
    key: str | None
    id_base: str | None


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows read from a shard.

    Attributes
    ----------
    values : ndarray, shape (n, width)
        Real embeddings, or uint8 codes.
    ids : list of str or int
    labels : ndarray or None
        Integers (n,), names (n,), or multi-hot (n, c).
    classes : list of str or None
        Names of the classes.
    """

    values: NDArray[Any]
    ids: list[str] | list[int]
    labels: NDArray[Any] | None
    classes: list[str] | None

    def __len__(self) -> int:
        return len(self.values)

    def payload(self, place: int) -> dict[str, Any] | None:
        """Return what a collection stores of a row's label."""
        if self.labels is None:
            return None
        value = self.labels[place]
        if np.ndim(value) == 0:
            known = value.item()
            named = self.classes is not None and isinstance(known, int)
            return {"label": self.classes[known] if named and self.classes else known}
        found = [int(c) for c in np.flatnonzero(value)]
        return {"labels": [self.classes[c] for c in found] if self.classes else found}


def find_shards(source: str, *, key: str | None = None) -> list[Shard]:
    """Find and describe the shards that `source` means, in the order of their names.

    Parameters
    ----------
    source : str
        A file, a folder, a pattern such as ``'shards/*.npy'``, or a URL of any of these. A folder
        that `embed` or `encode` wrote is read by its manifest.
    key : str, optional
        Array of each `.npz`, or column of each Parquet file, that holds the rows.

    Raises
    ------
    InvalidInputError
        If there is none, or they do not fit together.
    FormatError
        If one is damaged.
    """
    single = not is_pattern(source) and not is_folder(source)
    files = find_files(source, SUFFIXES if single else (*SUFFIXES, ".json"))
    manifest = next((file for file in files if file.name == MANIFEST), None)
    if manifest is not None:
        parts = {join(source, name) for name in _parts(manifest.url)}
        names = {part.rpartition("/")[2] for part in parts}
        files = [file for file in files if file.name in names]
    else:
        files = [file for file in files if not file.name.endswith(".json")]
    if not files:
        raise InvalidInputError(f"{source}: no shards ({', '.join(SUFFIXES)})")
    shards = [_describe(file, key, single=single) for file in files]
    first = shards[0]
    for shard in shards:
        if (shard.kind, shard.width, shard.n_bits) != (first.kind, first.width, first.n_bits):
            raise InvalidInputError(
                f"{shard.file.url} holds {_what(shard)}, but {first.file.url} {_what(first)}; "
                "give shards of one kind"
            )
    return shards


def read_shard(shard: Shard, start: int, stop: int) -> Rows:
    """Read rows `start` to `stop` of a shard; no more of the file than needed."""
    url, suffix = shard.file.url, _suffix(shard.file)
    ids: Sequence[Any] | None = None
    labels: NDArray[Any] | None = None
    classes: list[str] | None = None
    with open_file(url) as file:
        if suffix == ".npy":
            values = read_rows(file, url, start, stop)
        elif suffix == ".parquet":
            values, ids, labels = read_table(file, url, shard.key or "", start, stop)
        else:
            archive = Archive(file, url)
            values = archive.rows(shard.key or "", start, stop)
            names = archive.names
            ids = archive.rows("ids", start, stop).tolist() if "ids" in names else None
            if "labels" in names and shard.kind == "embeddings":
                labels = archive.rows("labels", start, stop)
                known = next((n for n in ("classes", "words", "class_names") if n in names), None)
                classes = None if known is None else archive.all(known).astype(str).tolist()
                if labels.ndim == 2 and classes and labels.shape[1] != len(classes):
                    labels = np.unpackbits(labels, axis=1, count=len(classes))
    named: Any = ids
    if named is None:
        base = "" if shard.id_base is None else f"{shard.id_base}:"
        named = [f"{base}{row}" for row in range(start, start + len(values))]
    elif shard.kind == "embeddings":
        named = [str(each) for each in named]
    return Rows(values, list(named), labels, classes)


def read_split(shard: Shard, start: int, stop: int, split: str) -> Rows:
    """Read rows as `read_shard`; where the shard knows splits, only those of `split`."""
    rows = read_shard(shard, start, stop)
    if split == "all" or _suffix(shard.file) != ".npz":
        return rows
    with open_file(shard.file.url) as file:
        archive = Archive(file, shard.file.url)
        if "split" not in archive.names:
            return rows
        places = np.flatnonzero(archive.rows("split", start, stop) == split)
    labels = None if rows.labels is None else rows.labels[places]
    ids: Any = [rows.ids[place] for place in places]
    return Rows(rows.values[places], ids, labels, rows.classes)


def row_ranges(shard: Shard, size: int) -> Iterator[tuple[int, int]]:
    """Cut a shard into ranges of at most `size` rows."""
    for start in range(0, shard.n_rows, size):
        yield start, min(start + size, shard.n_rows)


def rows_at_a_time(shards: Sequence[Shard]) -> int:
    """Rows of these shards that are read at a time: 32 MiB of float32, at most 20,000."""
    width = shards[0].width * (4 if shards[0].kind == "embeddings" else 1)
    return max(1, min(20_000, (1 << 25) // width))


def _parts(url: str) -> list[str]:
    try:
        manifest = json.loads(read_bytes(url))
        if manifest["format"] != "h2q-parts":
            raise ValueError(f"format {manifest['format']!r}")
        return [str(part["name"]) for part in manifest["parts"]]
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{url}: not a manifest of h2q, or a damaged one ({error})") from error


def _describe(file: FoundFile, key: str | None, *, single: bool) -> Shard:
    suffix = _suffix(file)
    with open_file(file.url) as handle:
        if suffix == ".npy":
            header = read_header(handle, file.url)
            shape, dtype, kind, n_bits = header.shape, header.dtype, "embeddings", None
        elif suffix == ".npz":
            key, kind, shape, dtype, n_bits = _describe_archive(
                Archive(handle, file.url), file, key
            )
        elif suffix == ".parquet":
            key, kind, shape, dtype, n_bits = describe_table(handle, file.url, key, USUAL_KEYS)
        else:
            raise InvalidInputError(f"{file.url}: expected a shard ({', '.join(SUFFIXES)})")
    if kind == "embeddings" and (len(shape) != 2 or dtype.kind not in "fi" or shape[1] == 0):
        raise InvalidInputError(
            f"{file.url}: expected real rows of shape (n, d), got {dtype} of shape {shape}"
            + ("; .npy files of codes do not state their length, use .npz" if dtype == "u1" else "")
        )
    base = None if single else str(PurePosixPath(file.name).with_suffix(""))
    return Shard(file, "codes" if kind == "codes" else "embeddings", shape[0], shape[1], n_bits,
                 key, base)  # fmt: skip


def _describe_archive(
    archive: Archive, file: FoundFile, key: str | None
) -> tuple[str, str, tuple[int, ...], np.dtype[Any], int | None]:
    names = archive.names
    if "format" in names and str(archive.all("format")) == "h2q-codes":
        header = archive.header("codes")
        return "codes", "codes", header.shape, header.dtype, int(archive.all("n_bits"))
    headers = {name: archive.header(name) for name in names}
    real = [n for n, h in headers.items() if len(h.shape) == 2 and h.dtype.kind == "f"]
    chosen = key or next((name for name in USUAL_KEYS if name in real), None)
    if chosen is None and len(real) == 1:
        chosen = real[0]
    if chosen is None or chosen not in names:
        raise InvalidInputError(
            f"{file.url}: name the array of embeddings with key (--key); it has {', '.join(names)}"
        )
    for name in {"ids", "labels", "split"} & set(names):
        if headers[name].shape[:1] != headers[chosen].shape[:1]:
            raise InvalidInputError(
                f"{file.url}: {headers[chosen].shape[0]} rows in {chosen} but {name} has shape "
                f"{headers[name].shape}"
            )
    return chosen, "embeddings", headers[chosen].shape, headers[chosen].dtype, None


def _what(shard: Shard) -> str:
    return f"codes of {shard.n_bits} bits" if shard.kind == "codes" else f"rows of {shard.width}"


def _suffix(file: FoundFile) -> str:
    return PurePosixPath(file.url).suffix.lower()
