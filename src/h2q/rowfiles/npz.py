"""numpy `.npz`: embeddings with ids, labels and splits, or h2q's own file of codes. No pickle."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from h2q._foreign import reading
from h2q._npz import ArrayHeader, check_members, read_array, read_header
from h2q.codes import BIT_ORDER, code_width, save_codes
from h2q.codes.files import write_codes_file
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles.bits import to_msb
from h2q.rowfiles.ids import read_ids
from h2q.rowfiles.labels import read_labels
from h2q.rowfiles.npy import read_rows
from h2q.rowfiles.rows import (
    USUAL_KEYS,
    Hints,
    RowFile,
    Rows,
    check_embeddings,
    check_stated,
    refuse_key,
)
from h2q.rowfiles.sidecar import Items, forget_items, read_sidecar, written_with_items
from h2q.rowfiles.storage import open_file
from h2q.rowfiles.stream import CodeStream

#: Bytes of a local header of a zip file before the name, and where the lengths stand in it.
_ZIP_HEADER: Final = 30
_KIND: Final = "npz"
_CODES: Final = "h2q-codes"
_VERSION: Final = 1
#: Arrays that hold the names of the classes.
CLASS_KEYS: Final = ("classes", "words", "class_names")


class Archive:
    """The arrays of an open `.npz` file.

    Parameters
    ----------
    file : binary file
        Open and seekable; closed by whoever opened it.
    name : str
        What errors call it.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        with reading(name, "a .npz file"):
            size = file.seek(0, 2)
            self._zip = zipfile.ZipFile(file)
            self._members = check_members(self._zip, name, size)
        self.names = tuple(self._members)

    def header(self, array: str) -> ArrayHeader:
        """Return the header of an array."""
        with self._open(array) as (member, size):
            return read_header(member, f"{self._name}: {array}", size)

    def rows(self, array: str, start: int, stop: int) -> NDArray[Any]:
        """Read rows of an array. In a compressed archive what comes before them is read too.

        Where they are all of it, the archive's checksum is compared.
        """
        if start == 0 and self.header(array).shape[:1] == (stop,):
            return self.all(array)
        with self._open(array) as (member, size):
            return read_rows(member, f"{self._name}: {array}", size, start, stop)

    def all(self, array: str) -> NDArray[Any]:
        """Read a whole array, which may have no dimension at all, and compare its checksum."""
        entry = self._members[array]
        with (
            reading(f"{self._name}: {array}", "an array"),
            self._zip.open(entry) as member,
        ):
            return read_array(member, f"{self._name}: {array}", entry.file_size)

    @contextmanager
    def _open(self, array: str) -> Iterator[Any]:
        with reading(f"{self._name}: {array}", "an array"):
            entry = self._members[array]
            if entry.compress_type != zipfile.ZIP_STORED:
                with self._zip.open(entry) as member:
                    yield member, entry.file_size
                return
            # Stored as it is: searched in place, where zipfile would read all that comes before.
            self._file.seek(entry.header_offset)
            head = self._file.read(_ZIP_HEADER)
            lengths = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
            start = entry.header_offset + _ZIP_HEADER + lengths
            yield _Window(self._file, start, entry.file_size), entry.file_size


class _Window:
    """A part of an open file, as if it were a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size = file, start, size
        file.seek(start)

    def seek(self, place: int) -> int:
        return self._file.seek(self._start + place) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start

    def read(self, size: int = -1) -> bytes:
        left = self._size - self.tell()
        return self._file.read(left if size < 0 else min(size, left))


def write(stream: CodeStream, path: Path) -> None:
    """Write codes and ids; payloads, where there are some, beside it. Mixed ids are an error."""
    everything = stream.gather()
    codes, ids = everything.codes, everything.ids
    if any(everything.payloads):
        with written_with_items(path, _KIND, stream.n_bits) as (file, keep):
            write_codes_file(file, codes, stream.n_bits, ids)  # type: ignore[arg-type]
            keep(everything)
    else:
        save_codes(path, codes, stream.n_bits, ids)  # type: ignore[arg-type]
        forget_items(path)


def read(name: str, hints: Hints) -> RowFile:
    """Open it: a file of codes says that it is one, anything else holds embeddings."""
    with open_file(name) as file:
        archive = Archive(file, name)
        if "format" in archive.names and str(archive.all("format")) == _CODES:
            return _read_codes(name, archive, hints)
        if hints.kind == "codes":
            raise FormatError(f"{name}: not a file of h2q codes; write one with save_codes")
        return _read_embeddings(name, archive, hints)


def _read_codes(name: str, archive: Archive, hints: Hints) -> RowFile:
    refuse_key(hints, name, "a file of codes")
    if hints.kind == "embeddings":
        raise InvalidInputError(f"{name} holds codes, and embeddings are needed")
    lacks = {"format_version", "n_bits", "bit_order", "codes"} - set(archive.names)
    if lacks:
        raise FormatError(f"{name}: not a file of h2q codes; it lacks {', '.join(sorted(lacks))}")
    try:
        version, n_bits = (int(archive.all(key).item()) for key in ("format_version", "n_bits"))
        width = code_width(n_bits)
    except (ValueError, TypeError) as error:
        raise FormatError(f"{name}: the file contradicts itself ({error})") from error
    order, header = str(archive.all("bit_order")), archive.header("codes")
    if version != _VERSION:
        raise FormatError(
            f"{name}: format version {version}, this h2q reads {_VERSION}; upgrade h2q"
        )
    if order != BIT_ORDER:
        raise FormatError(f"{name}: bit order {order!r}, h2q reads {BIT_ORDER!r} only")
    if header.dtype != np.uint8 or header.shape[1:] != (width,):
        raise FormatError(
            f"{name}: codes of {n_bits} bits are {width} bytes, not {header.dtype} of shape "
            f"{header.shape}"
        )
    check_stated(name, hints, n_bits=n_bits, bit_order=order)
    has_ids = "ids" in archive.names
    _check_lengths(
        name, archive, ("ids",) if has_ids else (), "codes", header.shape[0], FormatError
    )

    sidecar = read_sidecar(name, _KIND)
    if sidecar is not None and (sidecar.n_bits, sidecar.count) != (n_bits, header.shape[0]):
        raise FormatError(f"{name}: {name}.json says other codes than it holds; export again")
    items = None if sidecar is None else Items(name)

    def rows(start: int, stop: int) -> Rows:
        with open_file(name) as file:
            archive = Archive(file, name)
            codes = to_msb(np.array(archive.rows("codes", start, stop)), order, n_bits, name)
            ids = archive.rows("ids", start, stop) if has_ids else None
            found = None if ids is None else read_ids(ids, name, start=start)
            if items is None:
                return Rows(codes, found)
            beside = items.take(start, stop)
            if found is not None and found != [each for each, _ in beside]:
                raise FormatError(f"{name}.items.jsonl: its ids are others; export again")
            return Rows(codes, found, [payload for _, payload in beside])

    return RowFile(name, "codes", header.shape[0], width, n_bits, rows, "codes")


def _read_embeddings(name: str, archive: Archive, hints: Hints) -> RowFile:
    headers = {each: archive.header(each) for each in archive.names}
    key = hints.key or find_key(name, headers)
    if key not in headers:
        raise InvalidInputError(f"{name} has no array {key!r}; it has {', '.join(headers)}")
    header = headers[key]
    check_embeddings(header.shape, header.dtype, f"{name}: {key}")
    beside = tuple(each for each in ("ids", "labels", "split") if each in headers)
    _check_lengths(name, archive, beside, key, header.shape[0], InvalidInputError)
    names = next((archive.all(each) for each in CLASS_KEYS if each in headers), None)
    n_classes = int(archive.all("n_classes")) if "n_classes" in headers else None

    def rows(start: int, stop: int) -> Rows:
        with open_file(name) as file:
            archive = Archive(file, name)
            found = {each: archive.rows(each, start, stop) for each in (key, *beside)}
        labels = None
        if "labels" in found:
            labels = read_labels(
                found["labels"], name, names=names, n_classes=n_classes, start=start
            )
        return Rows(
            found[key],
            read_ids(found["ids"], name, start=start) if "ids" in found else None,
            labels=labels,
            split=found["split"].astype(np.str_) if "split" in found else None,
        )

    return RowFile(
        name, "embeddings", header.shape[0], header.shape[1], None, rows, key, str(header.dtype),
        "split" in headers, None if names is None else [str(each) for each in names.ravel()],
    )  # fmt: skip


def find_key(name: str, headers: Mapping[str, ArrayHeader]) -> str:
    """Return the array of embeddings: one of a usual name, or the only one there can be.

    Raises
    ------
    InvalidInputError
        If there is none, or several could be meant.
    """
    wide = {n: h for n, h in headers.items() if len(h.shape) == 2 and h.dtype != np.uint8}
    real = [n for n, h in wide.items() if h.dtype.kind == "f"]
    whole = [n for n, h in wide.items() if h.dtype.kind in "iu"]  # labels are whole numbers, too
    chosen = next((usual for usual in USUAL_KEYS if usual in real), None)
    if not real:
        chosen = next((usual for usual in USUAL_KEYS if usual in whole), None)
    if chosen is not None:
        return chosen
    if len(real) == 1:
        return real[0]
    if real:
        raise InvalidInputError(
            f"{name} has several arrays of embeddings; name one with key (--key): {', '.join(real)}"
        )
    raise InvalidInputError(
        f"{name} has no two-dimensional floating-point array; it has {', '.join(headers) or 'none'}"
    )


def _check_lengths(
    name: str,
    archive: Archive,
    beside: tuple[str, ...],
    key: str,
    count: int,
    kind: type[Exception],
) -> None:
    for each in beside:
        shape = archive.header(each).shape
        if shape[:1] != (count,):
            n = shape[0] if shape else 1
            raise kind(f"{name}: {count} rows in {key} but {n} {each}")


def array_names(name: str) -> dict[str, str]:
    """Type and shape of each array of an `.npz` file, by name."""
    with open_file(name) as file:
        archive = Archive(file, name)
        headers = {each: archive.header(each) for each in archive.names}
    return {each: f"{header.dtype} {header.shape}" for each, header in headers.items()}
