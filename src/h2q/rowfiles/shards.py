"""Shards: files that together hold rows of embeddings, or packed codes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final

from h2q._addresses import without_secrets
from h2q._foreign import reading
from h2q._paths import path_text
from h2q._typing import StrPath
from h2q.errors import InvalidInputError
from h2q.rowfiles.registry import FORMATS, format_of, open_rows
from h2q.rowfiles.rows import Kind, RowFile, Rows, rows_at_a_time
from h2q.rowfiles.storage import (
    FoundFile,
    find_files,
    is_folder,
    is_pattern,
    is_url,
    join,
    read_bytes,
)

#: What is taken of a folder; a `.csv` there is as likely something else.
SUFFIXES: Final = tuple(
    suffix for each in FORMATS.values() for suffix in each.suffixes if suffix != ".csv"
)
#: Name of the file that lists the parts of a folder that `embed` or `encode` wrote.
MANIFEST: Final = "manifest.json"


def local_files(source: StrPath) -> list[str]:
    """Paths of the files of this machine that `source` means; none for an address, or without."""
    source = path_text(source)
    if is_url(source):
        return []
    try:
        return [file.url for file in find_files(source, (*SUFFIXES, ".json"))]
    except InvalidInputError:
        return []  # whoever reads them says so


class NoRowsError(InvalidInputError):
    """Files of embeddings that hold none."""


@dataclass(frozen=True)
class Shard:
    """One file of rows; plain values, to be sent to a worker.

    Attributes
    ----------
    file : FoundFile
    format : str
        One of `h2q.rowfiles.FORMATS`.
    kind : {"embeddings", "codes"}
    n_rows, width : int
        Shape: columns of embeddings, bytes of codes.
    n_bits : int or None
        Length of codes.
    bit_order : str or None
        Of codes, where the caller said it.
    key : str or None
        Array or column that holds the rows.
    has_split : bool
        Whether rows belong to splits.
    id_base : str or None
        Rows without ids are called ``id_base:row``, or ``row`` where this is None.
    """

    file: FoundFile
    format: str
    kind: Kind
    n_rows: int
    width: int
    n_bits: int | None
    bit_order: str | None
    key: str | None
    has_split: bool
    id_base: str | None


def find_shards(
    source: str,
    *,
    key: str | None = None,
    kind: Kind | None = None,
    format: str | None = None,
    n_bits: int | None = None,
    bit_order: str | None = None,
) -> list[Shard]:
    """Find and describe the shards that `source` means, in the order of their names.

    Parameters
    ----------
    source : str
        A file, a folder, a pattern such as ``'shards/*.npy'``, or a URL of any of these. A folder
        that `embed` or `encode` wrote is read by its manifest.
    key, kind, format, n_bits, bit_order
        As in `h2q.rowfiles.open_rows`, of each file.

    Raises
    ------
    InvalidInputError
        If there is none, or they do not fit together.
    FormatError
        If one is damaged.
    """
    source = path_text(source)
    single = not is_pattern(source) and not is_folder(source)
    files = find_files(source, (*SUFFIXES, ".json"))
    manifest = next((file for file in files if file.name == MANIFEST), None)
    if manifest is not None:
        parts = {join(source, name) for name in _parts(manifest.url)}
        names = {part.rpartition("/")[2] for part in parts}
        files = [file for file in files if file.name in names]
    elif not single:
        files = [file for file in files if not file.name.endswith((".json", ".jsonl"))]
    if not files:
        raise InvalidInputError(f"{source}: no shards ({', '.join(SUFFIXES)})")
    shards = []
    for file in files:
        opened = open_rows(file.url, format, key=key, kind=kind, n_bits=n_bits, bit_order=bit_order)
        base = None if single else str(PurePosixPath(file.name).with_suffix(""))
        shards.append(
            Shard(
                file, format_of(file.url, format).name, opened.kind, opened.count, opened.width,
                opened.n_bits, bit_order, opened.key if opened.kind == "embeddings" else None,
                opened.has_split, base,
            )
        )  # fmt: skip
    first = shards[0]
    if first.kind == "embeddings" and not any(shard.n_rows for shard in shards):
        raise NoRowsError(f"{without_secrets(source)} holds no rows; give one that does")
    for shard in shards:
        if (shard.kind, shard.width, shard.n_bits) != (first.kind, first.width, first.n_bits):
            raise InvalidInputError(
                f"{shard.file.url} holds {_what(shard)}, but {first.file.url} {_what(first)}; "
                "give shards of one kind"
            )
    return shards


@lru_cache(maxsize=1)  # an index is read whole, and text from its start: not for every range again
def open_shard(shard: Shard) -> RowFile:
    """Open a shard for reading."""
    return open_rows(
        shard.file.url, shard.format, key=shard.key, kind=shard.kind, n_bits=shard.n_bits,
        bit_order=shard.bit_order,
    )  # fmt: skip


def read_shard(shard: Shard, start: int, stop: int) -> Rows:
    """Read rows `start` to `stop` of a shard; no more of the file than needed."""
    return open_shard(shard).read(start, stop, base=shard.id_base)


def read_split(shard: Shard, start: int, stop: int, split: str | None) -> Rows:
    """Read rows as `read_shard`; where the shard knows splits, only those of `split`."""
    return read_shard(shard, start, stop).of_split(split)


def check_split(shards: Sequence[Shard], split: str | None) -> None:
    """Raise `InvalidInputError` where a split is asked for and a shard knows none."""
    for shard in shards:
        if split not in (None, "all") and not shard.has_split:
            raise InvalidInputError(
                f"{shard.file.url}: the file does not say which rows are of the split {split!r}; "
                "leave --split out to take all"
            )


def row_ranges(shard: Shard, size: int) -> Iterator[tuple[int, int]]:
    """Cut a shard into ranges of at most `size` rows."""
    for start in range(0, shard.n_rows, size):
        yield start, min(start + size, shard.n_rows)


def shard_rows_at_a_time(shards: Sequence[Shard]) -> int:
    """Rows of these shards that are read at a time: 32 MiB of float32, at most 20,000."""
    return rows_at_a_time(shards[0].kind, shards[0].width)


def _parts(url: str) -> list[str]:
    with reading(url, "a manifest of h2q"):
        manifest = json.loads(read_bytes(url))
        if manifest["format"] != "h2q-parts":
            raise ValueError(f"format {manifest['format']!r}")
        return [str(part["name"]) for part in manifest["parts"]]


def _what(shard: Shard) -> str:
    return f"codes of {shard.n_bits} bits" if shard.kind == "codes" else f"rows of {shard.width}"
