"""The connection of a collection: made again when it was lost between calls; transactions."""

from __future__ import annotations

import inspect
import math
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import IsolationLevel, pq

from h2q.collections.pgvector.address import PgvectorAddress
from h2q.collections.pgvector.bits import register_bits
from h2q.collections.pgvector.faults import failed_to_connect, reported
from h2q.errors import CollectionError

Connection: TypeAlias = psycopg.Connection[Any]
#: psycopg before this option waits for an answer for ever.
_CAN_END: Final = "timeout" in inspect.signature(psycopg.Connection.wait).parameters
#: An answer may come this much later than the server itself gives a call up.
_GRACE_S: Final = 5.0
#: Seconds to wait for a connection, and for another client that is writing.
_CONNECT_S: Final = 10.0
_PATIENCE_S: Final = 60.0
#: A peer that vanished without a word is noticed after some 90 s, even in the middle of a call.
_KEEPALIVE: Final = {"keepalives_idle": 60, "keepalives_interval": 10, "keepalives_count": 3}
# A collection promises that what was acknowledged is on the disk, whatever the server's default.
# To compile a scan costs more than it saves here.
_SETTINGS: Final = """
SELECT set_config('jit', 'off', false),
       set_config('lock_timeout', %s, false),
       set_config('default_transaction_read_only', %s, false),
       CASE current_setting('synchronous_commit')
           WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END
 WHERE current_setting('server_encoding') = 'UTF8'
"""


class _Patient(psycopg.Connection[Any]):
    """A connection that waits for an answer for so long and no longer.

    A stream that was damaged on its way may announce bytes that never come.

    Attributes
    ----------
    patience : float or None
        Seconds; for ever if None.
    """

    patience: float | None = None

    def wait(self, *arguments: Any, **options: Any) -> Any:
        """Wait as psycopg does; end the connection where nothing comes."""
        if self.patience is None or not _CAN_END:
            return super().wait(*arguments, **options)
        begun = time.monotonic()
        try:
            return super().wait(*arguments, **{"timeout": self.patience, **options})
        except psycopg.OperationalError as error:
            if error.sqlstate is not None or time.monotonic() - begun < self.patience:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"the server gave no answer within {self.patience:g} s"
            ) from error


class Link:
    """One connection, used by one thread at a time.

    Parameters
    ----------
    address : PgvectorAddress
    read_only : bool
        Let the server refuse to write.
    timeout : float or None
        Seconds to wait for a connection, and for another client that is writing; and, with some
        seconds more, for the answer to anything else.
    """

    def __init__(self, address: PgvectorAddress, *, read_only: bool, timeout: float | None) -> None:
        self.shown = address.shown
        self._address = address
        self._read_only = read_only
        self._timeout = timeout
        self._lock = threading.RLock()
        self._closed = False
        self._connection: Connection | None = None

    @contextmanager
    def statements(self) -> Iterator[Connection]:
        """Run statements, each of which is a transaction of its own."""
        with self._lock:
            connection = self._live()
            with reported(self.shown):
                yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Run statements that only read and all see the same moment, in one round trip or few."""
        with self._lock:
            connection = self._live()
            with reported(self.shown):
                connection.isolation_level = IsolationLevel.REPEATABLE_READ
                try:
                    with connection.pipeline(), connection.transaction():
                        yield connection
                finally:
                    if not connection.closed:
                        connection.isolation_level = None

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Run one transaction that writes: durable as a whole afterwards, or it never happened."""
        if self._read_only:
            raise CollectionError(
                f"{self.shown}: opened for reading (mode='r'); open it with mode='a' to write"
            )
        with self._lock:
            connection = self._live()
            with reported(self.shown):
                connection.execute("BEGIN")
                try:
                    yield connection
                except BaseException:
                    _roll_back(connection)
                    raise
            unknown = "whether it was made is not known, so repeat it: to repeat it does no harm"
            with reported(self.shown, unknown):
                connection.execute("COMMIT")

    @contextmanager
    def without_haste(self) -> Iterator[None]:
        """Wait for an answer as long as it takes: to build an index takes minutes."""
        with self._lock:
            connection = self._live()
            patient = connection if isinstance(connection, _Patient) else None
            patience = None if patient is None else patient.patience
            try:
                if patient is not None:
                    patient.patience = None
                yield
            finally:
                if patient is not None:
                    patient.patience = patience

    @property
    def closed(self) -> bool:
        """Whether it was closed for good."""
        return self._closed

    def close(self) -> None:
        """Close the connection for good. Closing twice is harmless."""
        with self._lock:
            self._closed = True
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _live(self) -> Connection:
        """Return the connection, made anew where it was lost since the last call."""
        if self._closed:
            raise CollectionError(f"{self.shown}: the collection is closed; open it again")
        if self._connection is not None and not _is_alive(self._connection):
            self._drop()
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> Connection:
        patience = self._timeout or _CONNECT_S
        options: dict[str, Any] = {
            **_KEEPALIVE,
            "connect_timeout": max(2, math.ceil(patience)),
            "application_name": "h2q",
            **self._address.secret(),
            "client_encoding": "utf8",
        }
        try:
            connection = _Patient.connect(autocommit=True, **options)
        except psycopg.Error as error:
            raise failed_to_connect(self.shown, error) from error
        if self._timeout is not None:
            connection.patience = self._timeout + _GRACE_S
        try:
            with reported(self.shown):
                register_bits(connection)
                wait_ms = str(round(1000 * (self._timeout or _PATIENCE_S)))
                mode = "on" if self._read_only else "off"
                if connection.execute(_SETTINGS, (wait_ms, mode)).fetchone() is None:
                    raise CollectionError(
                        f"{self.shown}: the database is not encoded as UTF-8, so it cannot keep "
                        "every id and payload; make one with: createdb --encoding=UTF8 "
                        "--template=template0 NAME"
                    )
        except BaseException:
            connection.close()
            raise
        return connection


def _is_alive(connection: Connection) -> bool:
    """Whether an idle connection still has its server; without a round trip.

    A server that ends says so, or its system does: then there is something to read.
    """
    raw = connection.pgconn
    if connection.closed or raw.status != pq.ConnStatus.OK:
        return False
    if raw.transaction_status != pq.TransactionStatus.IDLE:
        return False  # a call was interrupted in its middle
    poll = select.poll()
    poll.register(raw.socket, select.POLLIN | select.POLLHUP | select.POLLERR)
    if poll.poll(0):
        try:
            raw.consume_input()
        except psycopg.OperationalError:
            return False
        # A notice or a changed setting is harmless; an end arrives as both words and an end.
        return not (poll.poll(0) or raw.status != pq.ConnStatus.OK)
    return True


def _roll_back(connection: Connection) -> None:
    if connection.closed:
        return
    try:
        connection.execute("ROLLBACK")
    except psycopg.Error:
        connection.close()  # the server rolls back by itself
