"""Connections to a collection file: for writing, for reading, and transactions on them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, Protocol
from urllib.parse import quote

from h2q.collections.embedded import lineage
from h2q.collections.embedded.untrusted import Limits, guard
from h2q.errors import CollectionError

Mode = Literal["a", "r"]
#: How long a call waits for another process that is writing.
_PATIENCE_S: Final = 60.0
#: The write-ahead log is cut back to this after a large write.
_LOG_BYTES: Final = 64 << 20
#: Pages kept in memory: enough for the inner pages of some hundred million items.
_CACHE_KIB: Final = 64 << 10
_READ_ONLY: Final = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
_NO_ROOM: Final = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)


class Watch(Protocol):
    """What is told of every transaction that writes."""

    def check(self) -> None:
        """Raise where the file is no longer the one that was opened."""

    def commits(self) -> bytes | None:
        """Return a mark that changes with every commit; None where none is known."""

    def wrote(self, token: str) -> None:
        """Take note of the token of a transaction (`lineage`)."""


class Connection(sqlite3.Connection):
    """A connection to a collection file.

    Attributes
    ----------
    fixed : bool
        Whether it takes the file for one that does not change.
    alone : bool
        Whether the index of its log is in memory, where no other connection sees it.
    watch : Watch, optional
    limits : Limits, optional
        Of its queries.
    """

    fixed = False
    alone = False
    watch: Watch | None = None
    limits: Limits | None = None

    def shares_log_index(self) -> bool:
        """Whether all who write to the file tell of it in the index of its log, a file."""
        if self.fixed or self.alone:
            return False
        mode: str = self.execute("PRAGMA journal_mode").fetchone()[0]
        return mode == "wal"


def connect(path: Path, mode: Mode) -> Connection:
    """Open an existing file, and read from it.

    Writing uses the write-ahead log with `synchronous=FULL`: a commit returns when the log is on
    the disk, so what was acknowledged survives a kill of the process and a loss of power.
    """
    if mode == "r":
        return _connect_to_read(path)
    connection = _connect(path, "mode=rw")
    try:
        connection.limits = guard(connection, path)
        _configure_for_writing(connection)
        connection.execute("SELECT 1 FROM meta").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def check_writable(connection: sqlite3.Connection) -> None:
    """Raise where the file or its folder is read-only; may wait for another that is writing."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")


def connect_new(path: Path) -> Connection:
    """Open a file that does not exist yet, for writing."""
    connection = _connect(path, "mode=rwc")
    try:
        _configure_for_writing(connection)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def writing(connection: Connection) -> Iterator[None]:
    """One transaction that writes: all of it is durable afterwards, or none of it happened.

    Raises
    ------
    CollectionError
        If the file was moved, replaced or overwritten. Then nothing is acknowledged: the commit
        did not happen, or does not stand in the file of this name.
    """
    watch = connection.watch
    if watch is not None:
        watch.check()
    if connection.limits is not None:
        connection.limits.lift(connection)
    connection.execute("BEGIN IMMEDIATE")
    before = connection.total_changes
    try:
        if watch is not None:
            watch.check()  # one may have waited for long
        yield
        if connection.total_changes != before:
            token = lineage.extend(connection)
            if watch is not None:
                watch.wrote(token)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # SQLite itself rolls back where the disk is full
            connection.execute("ROLLBACK")
    if watch is not None:
        watch.check()


@contextmanager
def writing_at_once(connection: Connection) -> Iterator[None]:
    """As `writing`, but raises at once where another connection is writing."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        with writing(connection):
            yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(1000 * _PATIENCE_S)}")


@contextmanager
def reading(connection: Connection) -> Iterator[None]:
    """One snapshot: everything read inside is of the same moment. Writers are not held up."""
    if connection.limits is not None:
        watch = connection.watch
        connection.limits.renew(connection, None if watch is None else watch.commits())
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def fold_log(connection: sqlite3.Connection) -> None:
    """Fold the write-ahead log into the file; closing does so too, but is silent where it cannot.

    Raises
    ------
    sqlite3.Error
        If the disk is full, or cannot be written.
    CollectionError
        If another connection is in the way.
    """
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise CollectionError("its log cannot be folded into it: another process has it open")


def _configure_for_writing(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")


def _connect_to_read(path: Path) -> Connection:
    """Open for queries only, also where the folder cannot be written or the disk is full."""
    # Not "mode=ro": such a connection leaves its -wal and -shm files behind when it is closed.
    connection = _connect(path, "mode=rw")
    try:
        _query_only(connection, path)
    except sqlite3.OperationalError as error:
        connection.close()
        connection = _connect_without_index(path, error)
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return connection


def _connect_without_index(path: Path, error: sqlite3.OperationalError) -> Connection:
    """Open for queries where the index of the log (-shm) cannot be made."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # none where a text is no Unicode
    if code not in (*_READ_ONLY, *_NO_ROOM):
        raise error
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size:
        if code in _READ_ONLY:
            raise CollectionError(
                f"{path}: in a read-only folder, with writes still in {log.name}; copy both files "
                "to a folder that can be written and open the collection there"
            ) from error
        # In memory, then, which nobody else can share.
        connection = _connect(path, "mode=rw")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.alone = True
    else:  # without a log none is needed
        connection = _connect(path, "mode=ro&immutable=1")
        connection.fixed = True
    try:
        _query_only(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _query_only(connection: Connection, path: Path) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.limits = guard(connection, path)


def _connect(path: Path, options: str) -> Connection:
    # Autocommit: transactions are begun by `reading` and `writing` alone.
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{options}",
        uri=True,
        timeout=_PATIENCE_S,
        isolation_level=None,
        check_same_thread=False,
        factory=Connection,
    )
