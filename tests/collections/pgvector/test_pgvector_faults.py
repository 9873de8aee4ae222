"""Servers that end, come back, refuse, or are not what they should be."""

from __future__ import annotations

import socket
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from h2q import open_collection
from h2q.errors import CollectionError, CompatibilityError, FormatError, InvalidInputError
from tests.collections.brute_collection import DictModel, same_content
from tests.collections.conformance import random_codes
from tests.collections.crash_plan import N_BITS, apply
from tests.collections.pgvector.conftest import new_server
from tests.collections.pgvector.server import PASSWORD, PostgresServer
from tests.collections.test_collection_crash import holds, killed_after


@pytest.fixture(scope="module")
def fragile() -> Iterator[PostgresServer]:
    """A server that tests may end; each leaves it running."""
    with new_server() as running:
        yield running
    running.folder.parent.rmdir()


def filled(address: str, n: int = 1000, n_bits: int = 64, **options: Any) -> Any:
    collection = open_collection(address, n_bits=n_bits, **options)
    collection.add(range(n), random_codes(n, n_bits))
    return collection


def refusal(address: str, **options: Any) -> str:
    """The message an address is refused with; nowhere in what is raised is a password."""
    with pytest.raises(CollectionError) as caught:
        open_collection(address, **options)
    for secret in (PASSWORD, "s3cret", "wr0ng"):
        assert secret not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


# Lost and back


def test_a_server_restarted_between_calls_is_not_noticed(fragile):
    with filled(fragile.new_address()) as collection:
        for end in (fragile.stop, fragile.kill):
            end()
            fragile.start()
            assert len(collection) == 1000
            end()
            fragile.start()
            collection.add(["a"], random_codes(1, 64))
            assert collection.delete(["a"]) == 1
            end()
            fragile.start()
            assert len(collection.search(random_codes(3, 64), 5).ids) == 3


def test_a_server_that_is_gone_is_named(fragile):
    with filled(fragile.new_address()) as collection:
        fragile.stop()
        try:
            for _ in range(2):
                with pytest.raises(CollectionError, match="cannot connect") as caught:
                    collection.count()
                assert PASSWORD not in str(caught.value)
                assert f"127.0.0.1:{fragile.port}" in str(caught.value)
            assert "cannot connect" in refusal(fragile.new_address(), n_bits=64)
        finally:
            fragile.start()
        assert collection.count() == 1000


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_server_that_ends_in_the_middle_of_a_search(fragile, end):
    with filled(fragile.new_address(), 20_000) as collection:
        running = threading.Event()

        def search() -> None:
            running.set()
            while True:
                collection.search(random_codes(500, 64), 50)

        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(search)
            running.wait()
            time.sleep(0.3)
            getattr(fragile, end)()
            with pytest.raises(CollectionError, match=r"lost in the middle.*connects again"):
                call.result(60)
        fragile.start()
        assert len(collection) == 20_000
        assert collection.search(random_codes(1, 64), 3).ids


def cut(server: PostgresServer) -> None:
    """End all connections of collections from the server's side."""
    with server.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'h2q'"
        )


def test_a_connection_cut_between_calls(server):
    with filled(server.new_address()) as collection:
        for call in (collection.count, lambda: collection.delete([1]), lambda: 2 in collection):
            cut(server)
            time.sleep(0.1)
            assert call()


def test_a_connection_cut_in_the_middle_of_an_add_changes_nothing(server):
    address = server.new_address()
    with filled(address) as collection, server.connect() as other:
        name = address.partition("collection=")[2]
        other.execute("BEGIN")
        other.execute("SELECT FROM h2q_collections WHERE name = %s FOR UPDATE", (name,))
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(collection.add, ["a"], random_codes(1, 64))
            while not waiting(server):
                time.sleep(0.01)
            cut(server)
            with pytest.raises(CollectionError, match=r"lost in the middle.*nothing was changed"):
                call.result(60)
        other.execute("ROLLBACK")
        assert (len(collection), "a" in collection) == (1000, False)
        collection.add(["a"], random_codes(1, 64))
        assert "a" in collection


def waiting(server: PostgresServer) -> int:
    with server.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = 'h2q' AND wait_event_type = 'Lock'"
        ).fetchone()
    return int(row[0])


def write_on(collection: Any, model: DictModel, done: int) -> tuple[int, CollectionError]:
    """Write until the server is gone: the first write not acknowledged, and what was raised."""
    while True:
        try:
            apply(collection, done)
        except CollectionError as error:
            return done, error
        apply(model, done)
        done += 1


@pytest.mark.slow
def test_a_server_killed_during_writes_loses_nothing_acknowledged(fragile):
    address, model, done = fragile.new_address(), DictModel(N_BITS), 0
    rng = np.random.default_rng(0)
    for _ in range(4):
        collection = open_collection(address, n_bits=N_BITS)
        stop = threading.Timer(rng.uniform(0.2, 0.8), fragile.kill)
        stop.start()
        done, error = write_on(collection, model, done)
        assert "lost" in str(error) or "cannot connect" in str(error)
        stop.join()
        fragile.start()
        # The write under way may have been committed just before: all of it or nothing.
        if not holds(address, model):
            apply(model, done)
            done += 1
        same_content(collection, model)
        collection.close()
    assert done > 4


@pytest.mark.slow
def test_a_client_killed_during_writes_loses_nothing_acknowledged(server):
    address, model, done = server.new_address(), DictModel(N_BITS), 0
    rng = np.random.default_rng(1)
    for _ in range(3):
        acknowledged = killed_after(address, done, rng.uniform(0, 0.4))
        for number in range(done, acknowledged):
            apply(model, number)
        done = acknowledged
        with open_collection(address) as collection:
            collection.delete([])  # waits for the server to be done with the killed one's call
        if not holds(address, model):
            apply(model, done)
            done += 1
        assert holds(address, model)
    assert done > 3


# Refused


def test_wrong_credentials(server):
    wrong = server.new_address(password="wr0ng")  # noqa: S106
    assert "user and password" in refusal(wrong, n_bits=64)
    missing = server.new_address().replace(":s3cret%2Fword%401@", "@")
    assert "user and password" in refusal(missing, n_bits=64)
    nobody = server.new_address().replace("//postgres:", "//no_such_user:")
    assert "no_such_user" in refusal(nobody, n_bits=64)


def test_no_such_database_or_server(server):
    assert "createdb" in refusal(server.new_address(database="absent"), n_bits=64)
    elsewhere = server.new_address().replace(f":{server.port}/", ":1/")
    assert "can be reached" in refusal(elsewhere, n_bits=64)
    assert "can be reached" in refusal("postgresql:///x?host=/no/such/folder", n_bits=64)


def database(server: PostgresServer, name: str, options: str = "") -> None:
    with server.connect() as connection:
        connection.execute(f"CREATE DATABASE {name} {options}".encode())


def test_a_database_without_the_extension(server):
    """One user may not make it; once a superuser has, the same user may keep collections."""
    with server.connect() as connection:
        connection.execute("CREATE ROLE plain LOGIN PASSWORD 's3cret/word@1'")
    database(server, "plains", "OWNER plain")
    address = server.new_address(database="plains").replace("//postgres:", "//plain:")
    message = refusal(address, n_bits=20)
    assert "no pgvector extension" in message
    assert "CREATE EXTENSION vector" in message
    with server.connect("plains") as connection:
        assert connection.execute("SELECT to_regclass('h2q_collections')").fetchone() == (None,)
        connection.execute("CREATE EXTENSION vector")
    with filled(address, n_bits=20) as collection:
        assert len(collection) == 1000


def test_a_server_without_the_extension(fragile):
    database(fragile, "bare")
    (control,) = fragile.folder.rglob("vector.control")
    hidden = control.rename(control.with_suffix(".hidden"))
    try:
        assert "Install pgvector" in refusal(fragile.new_address(database="bare"), n_bits=20)
    finally:
        hidden.rename(control)


def test_a_database_that_cannot_hold_every_text(server):
    database(server, "ascii", "ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    assert "UTF-8" in refusal(server.new_address(database="ascii"), n_bits=20)


def test_a_user_who_may_only_read(server):
    address = server.new_address()
    filled(address).close()
    name = address.partition("collection=")[2]
    with server.connect() as connection:
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 's3cret/word@1'")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    theirs = address.replace("//postgres:", "//reader:")
    with open_collection(theirs, mode="r") as collection:
        assert len(collection.search(random_codes(1, 64), 5).ids[0]) == 5
    with open_collection(theirs) as collection:
        with pytest.raises(CollectionError, match="may not do this"):
            collection.add(["a"], random_codes(1, 64))
        assert len(collection) == 1000
    absent = theirs.replace(name, "another")
    assert "denied" in refusal(absent, n_bits=20) or "may not" in refusal(absent, n_bits=20)


def test_another_format_version_is_refused(server):
    address = server.new_address()
    filled(address).close()
    name = address.partition("collection=")[2]
    with server.connect() as connection:
        connection.execute(
            "UPDATE h2q_collections SET format_version = 99 WHERE name = %s", (name,)
        )
    with pytest.raises(CompatibilityError, match="format version 99"):
        open_collection(address)


def test_tables_of_another_program_are_refused(server):
    database(server, "others")
    with server.connect("others") as connection:
        connection.execute("CREATE TABLE h2q_collections (name text)")
    with pytest.raises(FormatError, match="h2q_collections"):
        open_collection(server.new_address(database="others"), n_bits=20)


def test_a_collection_dropped_while_it_is_open(server):
    address = server.new_address()
    name = address.partition("collection=")[2]
    with filled(address) as collection:
        with server.connect() as connection:
            connection.execute(f'DROP TABLE "h2q_{name}_items"'.encode())
            connection.execute("DELETE FROM h2q_collections WHERE name = %s", (name,))
        with pytest.raises(CollectionError, match="not there any more"):
            collection.count()
        with pytest.raises(CollectionError, match="not there any more"):
            collection.add(["a"], random_codes(1, 64))


def test_an_id_too_long_for_the_index_is_refused(server):
    rng = np.random.default_rng(0)
    long = "".join(chr(c) for c in rng.integers(0x4E00, 0x9FFF, 3000))
    with filled(server.new_address()) as collection:
        collection.add([long[:866]], random_codes(1, 64))
        with pytest.raises(InvalidInputError, match="at most 2600"):
            collection.add(["fine", long], random_codes(2, 64))
        assert (len(collection), "fine" in collection, long in collection) == (1001, False, False)


# At once


def test_two_writers_at_once(server):
    """Items of both, each id once, in an order that both see; neither waits for ever."""
    address = server.new_address()
    filled(address, 0).close()

    def write(writer: int) -> None:
        with open_collection(address) as collection:
            for step in range(15):
                shared = [f"shared {i}" for i in range(50)]
                own = [f"{writer} {step} {i}" for i in range(50)]
                collection.add(
                    shared + own, random_codes(100, 64, seed=step), [{"by": writer}] * 100
                )
                collection.delete([f"{writer} {step - 1} {i}" for i in range(50)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    with open_collection(address) as collection:
        found = list(collection)
        last = [f"{writer} 14 {i}" for writer in range(4) for i in range(50)]
        assert sorted(found) == sorted([*(f"shared {i}" for i in range(50)), *last])
        assert len(collection) == len(found) == 250
        shared = collection.get([f"shared {i}" for i in range(50)])
        assert len({item.payload["by"] for item in shared}) == 1


def test_a_writer_waits_no_longer_than_its_timeout(server):
    address = server.new_address()
    name = address.partition("collection=")[2]
    with filled(address, timeout=0.5) as collection, server.connect() as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM h2q_collections WHERE name = %s FOR UPDATE", (name,))
        with pytest.raises(CollectionError, match="writing for too long"):
            collection.add(["a"], random_codes(1, 64))
        assert len(collection) == 1000  # reading waits for no one
        other.execute("ROLLBACK")
        collection.add(["a"], random_codes(1, 64))


class Swallowing:
    """A proxy before a server, which at some moment lets nothing of its answers through."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.quiet = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            for source, target in ((client, server), (server, client)):
                arguments = (source, target, source is server)
                threading.Thread(target=self._pass_on, args=arguments, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(65536):
                if not (answers and self.quiet.is_set()):
                    target.sendall(data)
        except OSError:
            pass

    def close(self) -> None:
        self._socket.close()


def test_an_answer_that_never_comes_is_waited_for_no_longer_than_the_timeout(server, monkeypatch):
    monkeypatch.setattr("h2q.collections.pgvector.connection._GRACE_S", 0.5)
    proxy = Swallowing(server.port)
    address = server.new_address().replace(f":{server.port}/", f":{proxy.port}/")
    with filled(address, timeout=1.0) as collection:
        for call in (
            lambda: collection.search(random_codes(1, 64), 3),
            lambda: collection.add(["a"], random_codes(1, 64)),
            lambda: list(collection),
        ):
            proxy.quiet.set()
            begun = time.monotonic()
            with pytest.raises(CollectionError, match="no answer within"):
                call()
            assert time.monotonic() - begun < 15
            proxy.quiet.clear()
            assert len(collection) >= 1000  # it connects again
    proxy.close()


def test_many_may_make_the_same_collection_at_once(server):
    database(server, "fresh")  # without even the tables they share
    address = server.new_address(database="fresh")
    with ThreadPoolExecutor(6) as pool:
        opened = list(pool.map(lambda _: open_collection(address, n_bits=20), range(6)))
    for number, collection in enumerate(opened):
        collection.add([number], random_codes(1, 20))
    assert [len(collection) for collection in opened] == [6] * 6
    for collection in opened:
        collection.close()


def test_threads_may_share_a_collection(server):
    with filled(server.new_address()) as collection:

        def use(thread: int) -> list[int]:
            collection.add([f"{thread}"], random_codes(1, 64, seed=thread))
            found = collection.search(random_codes(20, 64, seed=thread), 3)
            assert collection.get([f"{thread}"])[0].id == f"{thread}"
            return [len(ids) for ids in found.ids]

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(use, range(16))) == [[3] * 20] * 16
        assert len(collection) == 1016
