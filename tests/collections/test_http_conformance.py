"""A collection behind a server, asked over a real connection, is as any other."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h2q.collections import Collection, open_collection
from h2q.collections.conditions import holds, parse_where
from h2q.collections.http.conditions import where_of
from h2q.errors import CollectionError, CompatibilityError, InvalidInputError
from h2q.serving import Settings
from tests.collections.conformance import CollectionConformance, random_codes

uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")


class Servers:
    """One real server with a collection below each path, as behind a proxy that has such paths."""

    def __init__(self) -> None:
        self.apps: dict[str, Any] = {}
        config = uvicorn.Config(self, port=0, log_config=None, access_log=False, lifespan="off")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        _, name, rest = scope["path"].split("/", 2)
        scope = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}
        await self.apps[name](scope, receive, send)

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.close()


class Place:
    """Where a collection may be made: its file is made, and served, when it is first opened."""

    def __init__(self, servers: Servers, path: Path, **settings: Any) -> None:
        self.servers, self.path, self.settings = servers, path, settings
        self.name = uuid.uuid4().hex
        self.served: Collection | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.servers.port}/{self.name}/"

    def serve(self, **options: Any) -> None:
        if self.served is None:
            from h2q.serving.app import create_app

            made = {key: value for key, value in options.items() if key != "mode"}
            self.served = open_collection(self.path, **made)
            self.servers.apps[self.name] = create_app(self.served, Settings(**self.settings))

    def open(self, **options: Any) -> Collection:
        self.serve(**options)
        return open_collection(self.url, **options)

    def close(self) -> None:
        app = self.servers.apps.pop(self.name, None)
        if app is not None:
            app.state.library.close()
        if self.served is not None:
            self.served.close()


@pytest.fixture
def place(servers: Servers, tmp_path: Path) -> Iterator[Place]:
    place = Place(servers, tmp_path / "served.h2q")
    yield place
    place.close()


class TestHttp(CollectionConformance):
    @pytest.fixture
    def address(self, place: Place) -> Any:
        return place

    def open(self, address: Any, **options: Any) -> Collection:
        if options.get("mode", "a") not in ("a", "r"):
            return open_collection("http://127.0.0.1:1/", **options)
        return address.open(**options)

    def learns(self, address: Any, **options: Any) -> Collection:
        """What is to fit a quantizer is said where the server is started."""
        address.serve(n_bits=16, **options)
        if "quantizer" in options:
            with pytest.raises(InvalidInputError, match="leave quantizer out"):
                open_collection(address.url, n_bits=16, **options)
        return open_collection(address.url, n_bits=16)

    def test_nothing_is_made_without_a_code_length(self, address):
        """A server makes none: it is told where to start one."""
        with pytest.raises(CollectionError, match="h2q serve"):
            open_collection("http://127.0.0.1:1/", n_bits=20)

    def test_a_call_of_many_parts_adds_all_or_nothing(self, place, monkeypatch):
        from h2q.collections.http import collection as module

        monkeypatch.setattr(module, "_MOST_BYTES", 4000)
        with place.open(n_bits=20) as remote:
            codes = random_codes(500, 20)
            payloads = [{"i": i, "text": "ü" * 20} if i % 3 else None for i in range(500)]
            remote.add(range(500), codes, payloads)
            assert list(remote) == list(range(500))
            assert [item.payload for item in remote.get(range(500))] == payloads
            bad = codes.copy()
            bad[-1] = 255  # filling bits, in the last part
            with pytest.raises(InvalidInputError, match="filling bits"):
                remote.add(range(500, 1000), bad, payloads)
            assert len(remote) == 500
            found = remote.search(codes, 3)
            assert found.ids == place.served.search(codes, 3).ids

    def test_real_rows_are_coded_by_the_server(self, place):
        rows = np.random.default_rng(0).standard_normal((120, 48)).astype(np.float32)
        with place.open(n_bits=20) as remote:
            remote.add(range(120), rows)
            assert remote.search(rows, 5).ids == place.served.search(rows, 5).ids
            assert remote.quantizer is not None
            assert remote.fingerprints == place.served.fingerprints
            assert (
                remote.quantizer.transform(rows) == place.served.quantizer.transform(rows)
            ).all()
            found = remote.search(rows[:2].astype(np.float64), 4, payloads=True)
            assert found.payloads == [[None] * 4] * 2

    def test_large_answers_come_in_parts(self, place, monkeypatch):
        from h2q.serving.routes import search

        monkeypatch.setattr(search, "_MOST_ANSWERS", 100)
        with place.open(n_bits=20) as remote:
            codes = random_codes(90, 20)
            remote.add(range(90), codes)
            assert remote.search(codes, 90).ids == place.served.search(codes, 90).ids
            assert remote.within(codes, 20).ids == place.served.within(codes, 20).ids
            assert remote.search(codes[0], 10**12).ids == place.served.search(codes[0], 90).ids

    def test_what_the_server_has_not_says_so(self, place, tmp_path):
        with place.open(n_bits=20) as remote:
            for call in (lambda: remote.backup(tmp_path / "copy"), remote.compact, remote.check):
                with pytest.raises(CollectionError, match="behind a server has no"):
                    call()
            with pytest.raises(InvalidInputError, match="no quantizer"):
                place.open(quantizer="itq", n_bits=20)
            with pytest.raises(CompatibilityError, match="hnsw"):
                place.open(index="hnsw")

    def test_primitives_agree_with_the_calls(self, place):
        """An engine of one's own may build on them, as the base class does."""
        with place.open(n_bits=20) as remote:
            codes = random_codes(60, 20)
            remote.add(range(60), codes)
            assert Collection.search(remote, codes, 7).ids == remote.search(codes, 7).ids
            assert Collection.within(remote, codes, 8).ids == remote.within(codes, 8).ids
            Collection.add(remote, ["x"], codes[:1], [{"a": 1}])
            assert remote.get(["x"])[0].payload == {"a": 1}


def test_a_key_is_shown_and_never_told(servers, tmp_path, monkeypatch):
    from h2q.serving.settings import ApiKey

    keys = (ApiKey.of("both", "0123456789abcdef@"), ApiKey.of("reads", "r" * 20, "read"))
    place = Place(servers, tmp_path / "served.h2q", keys=keys)
    try:
        with pytest.raises(CollectionError, match="API key"):
            place.open(n_bits=20)
        plain = place.url
        with open_collection(plain.replace("//", "//:0123456789abcdef%40@")) as remote:
            remote.add(["a"], random_codes(1, 20))
            assert remote.uri == remote.info().uri == plain
            assert "0123456789" not in repr(remote)
        monkeypatch.setenv("H2Q_API_KEY", "r" * 20)
        with open_collection(plain) as remote:
            assert remote.count({"a": 1}) == 0
            assert len(list(remote)) == 1
            assert remote.search(random_codes(1, 20)).ids == [["a"]]
            with pytest.raises(CollectionError, match="no scope 'write'"):
                remote.add(["b"], random_codes(1, 20))
            with pytest.raises(CollectionError, match="no scope 'write'"):
                remote.delete(["a"])
    finally:
        place.close()


@pytest.mark.parametrize(
    "address",
    [
        "http://",
        "http://:key@/x",
        "http://h:port/",
        "http://h/?a=key",
        "http://a@b@c:1/",
        "http://[/",
    ],
)
def test_an_address_that_is_not_understood_is_not_shown(address):
    with pytest.raises((InvalidInputError, CollectionError)) as error:
        open_collection(address)
    assert "key@" not in str(error.value)
    assert "a=key" not in str(error.value)


def test_what_is_no_server_of_h2q_is_named(servers):
    async def other(scope: Any, receive: Any, send: Any) -> None:
        body = {"info": b"<html>", "busy": b"{}"}[scope["path"].rpartition("/")[2]]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    servers.apps["other"] = other
    with pytest.raises(CollectionError, match="no server of h2q"):
        open_collection(f"http://127.0.0.1:{servers.port}/other/")


def test_a_server_that_breaks_off_or_is_slow_is_an_error(servers):
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith("info"):
            facts = {"format_version": 1, "n_bits": 8, "keep": "codes", "index": "flat",
                     "fingerprints": {}, "created_by": "x", "bit_order": "msb"}  # fmt: skip
            body = json.dumps(facts).encode()
        elif scope["path"].endswith("scan"):
            body = b"[]\n"  # without the mark of the end
        else:
            while (await receive())["type"] != "http.disconnect":
                pass  # never an answer
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    servers.apps["broken"] = broken
    with open_collection(f"http://127.0.0.1:{servers.port}/broken/", timeout=2) as remote:
        with pytest.raises(CollectionError, match="broke off"):
            list(remote.iterate())
        with pytest.raises(CollectionError, match="in time"):
            remote.count()


def test_conditions_travel_to_the_same_effect():
    payloads: list[Any] = [
        None, {}, {"a": 1}, {"a": 2, "b": "x"}, {"a.b": 1}, {"a": {"b": 1}}, {"a": [1, "x", None]},
        {"b": None}, {"a": True}, {"a": {"b.c": 2}}, {"\n\x01": "\0"}, {"a": 1.5, "b": "\u2028"},
    ]  # fmt: skip
    conditions: list[Any] = [
        {}, {"a": 1}, {"a.b": 1}, {"a.b.c": 2}, {"a": {"$gt": 0, "$lte": 1.5}}, {"a": {"$ne": 1}},
        {"a": {"$exists": False}, "b": {"$exists": True}}, {"$or": [{"a": 1}, {"b": "x"}]},
        {"$and": [{"a": {"$gte": 1}}, {"a": {"$gte": 2}}], "$or": [{"b": "x"}]},
        {"a": {"$in": {1, 2}}, "$not": {"b": "x"}}, {"a": {"$contains": None}}, {"$or": []},
        {"\n\x01": "\0"}, {"b": "\u2028"}, {"a": {"$nin": np.array([1, 2])}}, {"a": np.int64(1)},
        {"$and": []}, {"a.b": {"$ne": 1}}, {"a": {"$in": []}},
    ]  # fmt: skip
    deep: Any = {"a": {"$gte": 1, "$lt": 2}, "b": {"$exists": False}}
    for _ in range(20):
        deep = {"$not": deep}
    for where in [*conditions, deep]:
        node = parse_where(where)
        again = parse_where(json.loads(json.dumps(where_of(node))))
        for payload in payloads:
            assert holds(again, payload) == holds(node, payload), (where, payload)
