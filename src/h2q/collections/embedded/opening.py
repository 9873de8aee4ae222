"""Open a collection file, or make one; refuse what does not fit it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from h2q._files import locked_folder, place_new, scratch_folder, sweep, synchronise
from h2q._version import __version__
from h2q.collections.embedded import artifacts, beside, lineage, schema
from h2q.collections.embedded.collection import EmbeddedCollection
from h2q.collections.embedded.connection import (
    Connection,
    Mode,
    check_writable,
    connect,
    connect_new,
    fold_log,
    writing,
)
from h2q.collections.embedded.faults import reported
from h2q.collections.embedded.held_file import Guard, HeldFile, check_free
from h2q.collections.index_spec import IndexSpec
from h2q.collections.request import OpenRequest
from h2q.errors import CollectionError, CompatibilityError


def open_embedded(path: Path, request: OpenRequest) -> EmbeddedCollection:
    """Open the collection in the file `path`; see `h2q.open_collection`."""
    given, path = path, Path(os.path.realpath(path))  # SQLite, too, goes by the file's own name
    mode = request.mode
    with reported(given):
        beside.check_name(path)
        if path.is_dir():
            raise CollectionError(f"{given}: a folder, where the file of a collection is needed")
        if not path.exists():
            n_bits = request.to_make(given)
            _create(path, n_bits, request, request.new_index("embedded"))
        connection, guard = _connected(path, mode)
        try:
            if mode == "a":
                check_writable(connection)
            meta = schema.read_meta(connection, given)
            kept = artifacts.facts(connection)
            request.check_fit(given, n_bits=int(meta["n_bits"]), keep=meta["keep"], artifacts=kept)
            spec = _index_spec(connection, given, meta, request)
        except BaseException:
            guard.release()
            raise
    return EmbeddedCollection(
        connection,
        given,
        mode,
        meta,
        spec,
        kept,
        guard,
        lambda: _connected(path, mode),
        request.learner,
    )


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
                connection.watch = guard = Guard(held, connection)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            held.leave()
            raise
    return connection, guard


def _index_spec(
    connection: Connection, path: Path, meta: Mapping[str, str], request: OpenRequest
) -> IndexSpec:
    """Return the index to use, and state it in the file where that states another."""
    if request.index == "flat":  # whatever the file states, be it unknown here
        return IndexSpec("flat", request.index_options or {})
    try:
        stated = IndexSpec.from_json(meta.get("index"), path)
    except CompatibilityError:
        if request.index is None:
            raise
        stated = IndexSpec()  # another is asked for in its place
    found = request.reopened_index("embedded", path, stated)
    text = found.stated.to_json()
    if request.mode == "a" and text != meta.get("index", IndexSpec().to_json()):
        with writing(connection):
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('index', ?)", (text,))
    return found.used


def _create(path: Path, n_bits: int, request: OpenRequest, index: IndexSpec) -> None:
    """Make the file elsewhere and give it its name when it is complete."""
    with scratch_folder(path) as folder:
        temporary = folder / path.name
        connection = connect_new(temporary)
        try:
            schema.create(connection, n_bits, __version__, request.keep or "codes")
            with writing(connection):
                for name, source in request.sources.items():
                    artifacts.store(connection, name, source)
                if index.kind != "flat":
                    statement = "INSERT INTO meta VALUES ('index', ?)"
                    connection.execute(statement, (index.to_json(),))
                lineage.extend(connection)
            fold_log(connection)
        finally:
            connection.close()
        synchronise(temporary)
        with locked_folder(path.parent, alone=True):
            if path.exists():
                return  # another process has just made it; it is checked as any other
            check_free(path)
            with suppress(FileExistsError):
                place_new(temporary, path)
