"""What a file of bare codes cannot say is said in two files beside it.

`NAME.json` states n_bits, bit order, the number of codes and the size of the file;
`NAME.items.jsonl` has a line ``[id, payload]`` for each code, in their order.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from h2q._files import write_whole, written_whole
from h2q.codes import BIT_ORDER
from h2q.collections.base import Batch, Id
from h2q.errors import FormatError
from h2q.rowfiles.ranged import Ranged
from h2q.rowfiles.storage import file_size, open_file, read_bytes

_FORMAT: Final = "h2q-interchange"
_VERSION: Final = 1
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
    items: bool = True
    id_kind: str = "int"


def sidecar_path(path: Path) -> Path:
    """`NAME.json`."""
    return path.with_name(f"{path.name}.json")


def items_path(path: Path) -> Path:
    """`NAME.items.jsonl`."""
    return path.with_name(f"{path.name}.items.jsonl")


def write_sidecar(path: Path, sidecar: Sidecar) -> None:
    """Write `NAME.json`; the file of codes comes first."""
    text = json.dumps({"format": _FORMAT, "format_version": _VERSION, **asdict(sidecar)}, indent=1)
    write_whole(sidecar_path(path), f"{text}\n".encode())


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
    try:
        fields = json.loads(read_bytes(beside))
    except (OSError, ValueError) as error:
        raise FormatError(f"{beside}: cannot be read ({error})") from error
    if not isinstance(fields, dict) or fields.pop("format", None) != _FORMAT:
        return None  # a file of somebody else, who also puts a .json there
    version = fields.pop("format_version", None)
    if version != _VERSION:
        raise FormatError(
            f"{beside}: format version {version}, this h2q reads {_VERSION}; upgrade h2q"
        )
    try:
        sidecar = Sidecar(**fields)
    except TypeError as error:
        raise FormatError(f"{beside}: lacks something ({error}); export again") from error
    if sidecar.kind != kind:
        raise FormatError(f"{beside}: belongs to a file of {sidecar.kind}, not of {kind}")
    size = file_size(name)
    if size != sidecar.size_bytes:
        raise FormatError(
            f"{name}: {size:,} bytes, {beside} says {sidecar.size_bytes:,}; "
            "the file is truncated or the two are not of one export: export again"
        )
    return sidecar


@contextmanager
def written_with_items(
    path: Path, kind: str, n_bits: int, *, bit_order: str = BIT_ORDER
) -> Iterator[tuple[BinaryIO, Keep]]:
    """Open a file of codes for writing, with its ids and payloads in the files beside it.

    Yields the file and a function that is given every batch written. All of them appear, or
    none; the sidecar comes last and vouches for the others.
    """
    count = 0
    # The ids take their place first, and only when nothing vouches for the old ones any more:
    # wherever this ends early, `read_sidecar` sees ids without a sidecar and says so.
    with written_whole(path) as file, written_whole(items_path(path)) as items:

        def keep(batch: Batch) -> None:
            nonlocal count
            for line in zip(batch.ids, batch.payloads, strict=True):
                items.write(json.dumps(line, ensure_ascii=False).encode())
                items.write(b"\n")
            count += len(batch.ids)

        yield file, keep
        for written in (file, items):  # what a full disk refuses is refused before
            written.flush()
            os.fsync(written.fileno())
        sidecar_path(path).unlink(missing_ok=True)
    write_sidecar(path, Sidecar(kind, n_bits, bit_order, count, path.stat().st_size))


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
    except (OSError, ValueError) as error:
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
