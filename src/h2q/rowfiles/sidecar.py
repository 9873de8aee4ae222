"""What a file of bare codes cannot say is said in two files beside it.

`NAME.json` states n_bits, bit order and the number of codes; `NAME.items.jsonl` has a line
``[id, payload]`` for each code, in their order. `NAME.json` holds a digest of each of the other
two: files that are not of one export are told by it, and never paired.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Final

from h2q._files import written_together
from h2q._foreign import parse_json, reading
from h2q.codes import BIT_ORDER, code_width
from h2q.collections.base import Batch, Id
from h2q.errors import FormatError
from h2q.rowfiles.ranged import Ranged
from h2q.rowfiles.storage import file_size, is_url, open_file, read_bytes

_FORMAT: Final = "h2q-interchange"
_VERSION: Final = 2
#: The first had no digests, only the size of the file of codes.
_VERSIONS: Final = (1, 2)
Keep = Callable[[Batch], None]


@dataclass(frozen=True)
class Sidecar:
    """Content of `NAME.json`.

    Attributes
    ----------
    kind : str
        Name of the format.
    n_bits : int
    bit_order : str
    count : int
    size_bytes : int
        Of the file of codes; another size means that the two do not belong together.
    sha256 : str
        Of the file of codes; empty where an older h2q wrote it.
    items_sha256 : str
        Of `NAME.items.jsonl`.
    items : bool
        Whether `NAME.items.jsonl` has the ids and payloads.
    id_kind : str
        Of ids that are in the file itself.
    """

    kind: str
    n_bits: int
    bit_order: str
    count: int
    size_bytes: int
    sha256: str = ""
    items_sha256: str = ""
    items: bool = True
    id_kind: str = "int"


#: A value of the right type for each field.
_EXAMPLE: Final = asdict(Sidecar("", 1, "", 0, 0))


def sidecar_path(path: Path) -> Path:
    """`NAME.json`."""
    return path.with_name(f"{path.name}.json")


def items_path(path: Path) -> Path:
    """`NAME.items.jsonl`."""
    return path.with_name(f"{path.name}.items.jsonl")


def read_sidecar(name: str, kind: str) -> Sidecar | None:
    """Read `NAME.json`; None where there is none.

    Raises
    ------
    FormatError
        If it is damaged, of another format, does not belong to the file, or was not written
        because the export was interrupted.
    """
    beside = f"{name}.json"
    if file_size(beside) is None:
        if file_size(f"{name}.items.jsonl") is not None:
            raise FormatError(
                f"{name}: there are ids beside it ({name}.items.jsonl), but nothing says that they "
                "belong together: the export was interrupted or a file not copied; export again"
            )
        return None
    fields = parse_json(read_bytes(beside), beside)
    if not isinstance(fields, dict) or fields.pop("format", None) != _FORMAT:
        return None  # a file of somebody else, who also puts a .json there
    version = fields.pop("format_version", None)
    if version not in _VERSIONS:
        raise FormatError(
            f"{beside}: format version {version}, this h2q reads {_VERSION}; upgrade h2q"
        )
    with reading(beside, "a description of a file of codes", "export again"):
        sidecar = Sidecar(**fields)
        for field, value in asdict(sidecar).items():
            if type(value) is not type(_EXAMPLE[field]):
                raise ValueError(f"{field} is {value!r:.40}")
        code_width(sidecar.n_bits)
    if sidecar.kind != kind:
        raise FormatError(f"{beside}: belongs to a file of {sidecar.kind}, not of {kind}")
    size = file_size(name)
    if size != sidecar.size_bytes:
        raise FormatError(
            f"{name}: {size:,} bytes, {beside} says {sidecar.size_bytes:,}; "
            "the file is truncated or the two are not of one export: export again"
        )
    for file, digest in ((name, sidecar.sha256), (f"{name}.items.jsonl", sidecar.items_sha256)):
        if digest and digest != _digest(file, _stamp(file)):
            raise FormatError(
                f"{file}: {beside} is of another export, or the file was changed since; copy the "
                "files of one export together, or export again"
            )
    return sidecar


@contextmanager
def written_with_items(
    path: Path, kind: str, n_bits: int, *, bit_order: str = BIT_ORDER
) -> Iterator[tuple[BinaryIO, Keep]]:
    """Open a file of codes for writing, with its ids and payloads in the files beside it.

    Yields the file and a function that is given every batch written. An error leaves what was
    there before; a kill while the three are renamed leaves files that the reader refuses, for the
    sidecar has a digest of both others.
    """
    count = 0
    beside = sidecar_path(path)
    with written_together(path, items_path(path), beside) as (file, items, about):

        def keep(batch: Batch) -> None:
            nonlocal count
            for line in zip(batch.ids, batch.payloads, strict=True):
                items.write(json.dumps(line, ensure_ascii=False).encode())
                items.write(b"\n")
            count += len(batch.ids)

        yield file, keep
        items.flush()
        digest = _digest(items.name, _stamp(items.name))
        _write(about, file, Sidecar(kind, n_bits, bit_order, count, 0, items_sha256=digest))


def forget_items(path: Path) -> None:
    """Remove what an earlier export put beside a file, where this one puts nothing."""
    beside = sidecar_path(path)
    with suppress(OSError, FormatError, AttributeError):
        if parse_json(beside.read_bytes(), str(beside)).get("format") == _FORMAT:
            beside.unlink()
            items_path(path).unlink()


@contextmanager
def written_with_sidecar(path: Path) -> Iterator[tuple[BinaryIO, Callable[[Sidecar], None]]]:
    """Open a file that holds its ids itself for writing, with `NAME.json` beside it.

    Yields the file and a function to be given what the sidecar says, but size and digest, when
    the file is complete.
    """
    with written_together(path, sidecar_path(path)) as (file, about):
        yield file, lambda sidecar: _write(about, file, sidecar)


def _write(about: BinaryIO, file: BinaryIO, sidecar: Sidecar) -> None:
    file.flush()
    written = Path(file.name)
    sidecar = replace(
        sidecar, size_bytes=written.stat().st_size, sha256=_digest(file.name, _stamp(file.name))
    )
    fields = {"format": _FORMAT, "format_version": _VERSION, **asdict(sidecar)}
    about.write(f"{json.dumps(fields, indent=1)}\n".encode())


def _stamp(name: str) -> tuple[int, ...] | None:
    """Return what changes when a file does; of a store its size alone."""
    if is_url(name):
        size = file_size(name)
        return None if size is None else (size,)
    try:
        about = Path(name).stat()
    except FileNotFoundError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


@lru_cache(maxsize=64)  # a file is opened again for each of its parts
def _digest(name: str, stamp: tuple[int, ...] | None) -> str:
    if stamp is None:
        raise FormatError(
            f"{name}: missing; copy the files of one export together, or export again"
        )
    with open_file(name) as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
        return digest.hexdigest()


class Items(Ranged[tuple[Id, dict[str, Any] | None]]):
    """The ids and payloads beside a file of codes, in ranges.

    Parameters
    ----------
    name : str
        The file of codes.

    Raises
    ------
    FormatError
        When the file beside it is missing or damaged.
    """

    def __init__(self, name: str) -> None:
        super().__init__(lambda: _lines(name))


def _lines(name: str) -> Iterator[tuple[Id, dict[str, Any] | None]]:
    beside = f"{name}.items.jsonl"
    try:
        with open_file(beside) as file:
            for line in file:
                yield _item(json.loads(line))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(
            f"{beside}: the ids and payloads of {name} cannot be read ({error}); "
            "copy the two together"
        ) from error


def _item(line: Any) -> tuple[Id, dict[str, Any] | None]:
    if (
        isinstance(line, list)
        and len(line) == 2
        and type(line[0]) in (int, str)
        and isinstance(line[1], dict | None)
    ):
        return line[0], line[1]
    raise ValueError(f"a line is not [id, payload] but {line!r:.80}")
