"""Open a collection file, or make one; refuse what does not fit it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from h2q._files import locked_folder, place_new, scratch_folder, sweep, synchronise
from h2q._typing import StrPath
from h2q._version import __version__
from h2q.collections.base import Decoder, IndexKind, Keep, Quantizer
from h2q.collections.embedded import artifacts, beside, lineage, schema
from h2q.collections.embedded.collection import EmbeddedCollection
from h2q.collections.embedded.connection import (
    Connection,
    Mode,
    check_writable,
    connect,
    connect_new,
    writing,
)
from h2q.collections.embedded.faults import reported
from h2q.collections.embedded.held_file import Guard, HeldFile, check_free
from h2q.collections.embedded.index_spec import IndexSpec
from h2q.collections.wanted import Wanted, as_wanted, check_fit
from h2q.errors import CollectionError, InvalidInputError


def open_embedded(
    path: Path,
    *,
    n_bits: int | None = None,
    quantizer: Quantizer | None = None,
    model: StrPath | bytes | None = None,
    decoder: Decoder | None = None,
    mode: Mode = "a",
    keep: Keep | None = None,
    index: IndexKind | None = None,
    index_options: Mapping[str, int] | None = None,
) -> EmbeddedCollection:
    """Open the collection in the file `path`; see `h2q.open_collection`."""
    if mode not in ("a", "r"):
        raise InvalidInputError(f"mode is 'a' (read and write) or 'r' (read), got {mode!r}")
    if index is not None or not path.exists():
        IndexSpec().changed(index, index_options)  # refuses what is unknown, before a file is made
    wanted = as_wanted(n_bits, quantizer, model, keep, decoder)
    given, path = path, Path(os.path.realpath(path))  # SQLite, too, goes by the file's own name
    with reported(given):
        beside.check_name(path)
        if path.is_dir():
            raise CollectionError(f"{given}: a folder, where the file of a collection is needed")
        if not path.exists():
            if mode == "r":
                raise CollectionError(f"{given}: there is no such collection to read")
            if not wanted.n_bits:
                raise CollectionError(
                    f"{given}: there is no such collection; give n_bits, a quantizer or a model to "
                    "make one"
                )
            _create(path, wanted)
        connection, guard = _connected(path, mode)
        try:
            if mode == "a":
                check_writable(connection)
            meta = schema.read_meta(connection, given)
            check_fit(
                given,
                wanted,
                n_bits=int(meta["n_bits"]),
                keep=meta["keep"],
                fingerprints=artifacts.fingerprints(connection),
            )
            spec = _index_spec(connection, given, meta, mode, index, index_options)
        except BaseException:
            guard.release()
            raise
    return EmbeddedCollection(connection, given, mode, meta, spec, guard)


def _connected(path: Path, mode: Mode) -> tuple[Connection, Guard]:
    """Open a file that is there, and watch it from now on."""
    if mode == "a":
        for name in (path, *beside.derived(path)):
            sweep(name)
    log = beside.log_of(path)
    alone = log.exists() and log.stat().st_size > 0
    with locked_folder(path.parent, alone=alone):
        held = HeldFile.take(path, mode)
        try:
            connection = connect(path, mode)
            try:
                connection.watch = guard = Guard(held, connection, connection.fixed)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            held.leave()
            raise
    return connection, guard


def _index_spec(
    connection: sqlite3.Connection,
    path: Path,
    meta: Mapping[str, str],
    mode: Mode,
    index: IndexKind | None,
    options: Mapping[str, int] | None,
) -> IndexSpec:
    """Return the index to use, and state it in the file where that states another."""
    if index == "flat":
        spec = IndexSpec().changed(index, options)
    else:
        spec = IndexSpec.from_json(meta.get("index"), path).changed(index, options)
    text = spec.to_json()
    if mode == "a" and text != meta.get("index", IndexSpec().to_json()):
        with writing(connection):
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('index', ?)", (text,))
    return spec


def _create(path: Path, wanted: Wanted) -> None:
    """Make the file elsewhere and give it its name when it is complete."""
    with scratch_folder(path) as folder:
        temporary = folder / path.name
        connection = connect_new(temporary)
        try:
            n_bits = next(iter(wanted.n_bits.values()))
            schema.create(connection, n_bits, __version__, wanted.keep or "codes")
            with writing(connection):
                for name, source in wanted.sources.items():
                    artifacts.store(connection, name, source)
                lineage.extend(connection)
        finally:
            connection.close()  # folds the write-ahead log into the file
        synchronise(temporary)
        with locked_folder(path.parent, alone=True):
            if path.exists():
                return  # another process has just made it; it is checked as any other
            check_free(path)
            with suppress(FileExistsError):
                place_new(temporary, path)
