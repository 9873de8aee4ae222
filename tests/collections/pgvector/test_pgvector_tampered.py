# ruff: noqa: S608, PT017 (the SQL is ours, and hostile on purpose; any call may fail)
"""Tables that somebody else has changed: an error that names the collection, or a right answer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import h2q
from h2q import open_collection
from h2q.collections import Collection
from h2q.errors import FormatError, H2QError, InvalidInputError
from tests.collections.conformance import random_codes
from tests.collections.pgvector.server import PostgresServer

N_BITS, N = 20, 30
ITEMS, META = '"h2q_photos_items"', "h2q_collections"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def database(server: PostgresServer) -> str:
    with server.connect() as connection:
        connection.execute("CREATE DATABASE tampered")
    with server.connect("tampered") as connection:
        connection.execute("CREATE EXTENSION vector")
    return "tampered"


class Tampered:
    """A collection of its own schema, and a client who may change all of it."""

    def __init__(self, server: PostgresServer, database: str) -> None:
        self.schema = f"case{next(_numbers)}"
        option = f"-csearch_path%3D{self.schema},public"
        self.address = server.address(database, collection="photos", options=option)
        self.client = server.connect(database)
        self.client.execute(f"CREATE SCHEMA {self.schema}".encode())
        self.client.execute(f"SET search_path = {self.schema}, public".encode())

    def fill(self) -> None:
        rows = np.random.default_rng(0).standard_normal((N, 24)).astype("f4")
        quantizer = h2q.ITQQuantizer(N_BITS).fit(rows)
        with open_collection(self.address, quantizer=quantizer, keep="int8") as collection:
            ids: list[int | str] = [i if i % 2 else f"n{i}" for i in range(N)]
            payloads = [{"a": i, "b": {"c": [i]}} if i % 3 else None for i in range(N)]
            collection.add(ids, quantizer.transform(rows), payloads, embeddings=rows)

    def run(self, sql: str) -> None:
        self.client.execute(sql.encode())


@pytest.fixture
def tampered(server: PostgresServer, database: str) -> Iterator[Tampered]:
    case = Tampered(server, database)
    case.fill()
    yield case
    case.client.close()


def rows(n: int = 2) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n, 24)).astype("f4")


#: All that is done with a collection, each call for itself.
CALLS: dict[str, Any] = {
    "search": lambda c: [list(each) for each in c.search(random_codes(3, N_BITS), 5).ids],
    "filtered": lambda c: [list(x) for x in c.search(random_codes(2, N_BITS), 5, {"a": 4}).ids],
    "rotated": lambda c: [list(each) for each in c.search(rows(), 5, rank="embedding").ids],
    "within": lambda c: [list(each) for each in c.within(random_codes(2, N_BITS), 9).ids],
    "iterate": lambda c: [item for batch in c.iterate(7) for item in batch.ids],
    "get": lambda c: [each and each.payload for each in c.get(["n2", 5, "none"])],
    "count": lambda c: [c.count(), len(c), c.count({"a": 4})],
    "quantizer": lambda c: c.quantizer and c.quantizer.n_bits_,
    "info": lambda c: c.info().n_bits,
    "delete": lambda c: c.delete(["absent"]),
    "add": lambda c: c.add(["late"], rows(1)),
}


def used(address: str) -> dict[str, Any]:
    """What each call answers, or the error of ours; nothing else, and not for ever."""
    found: dict[str, Any] = {}

    def ask(name: str, collection: Collection) -> None:
        begun = time.monotonic()
        try:
            found[name] = CALLS[name](collection)
        except InvalidInputError as error:
            found[name] = error  # of what was asked: for instance, there is no quantizer any more
        except H2QError as error:
            assert "photos" in str(error), (name, error)
            assert ";" in str(error) or "repeat" in str(error) or "damaged" in str(error), error
            found[name] = error
        assert time.monotonic() - begun < 30, name

    try:
        collection = open_collection(address, timeout=5)
    except H2QError as error:
        assert "photos" in str(error), error
        return {"open": error}
    with collection:
        for name in CALLS:
            ask(name, collection)
    return found


REFUSED = {
    "view": f"ALTER TABLE {ITEMS} RENAME TO old; CREATE VIEW {ITEMS} AS SELECT * FROM old",
    "view that waits": f"ALTER TABLE {ITEMS} RENAME TO old; CREATE VIEW {ITEMS} AS "
                       "SELECT old.* FROM old, pg_sleep(1000)",
    "view of what is made": f"ALTER TABLE {META} RENAME TO old; CREATE VIEW {META} AS "
                            "SELECT old.* FROM old, pg_sleep(1000)",
    "view of artifacts": "ALTER TABLE h2q_artifact_chunks RENAME TO old; "
                         "CREATE VIEW h2q_artifact_chunks AS SELECT o.collection, o.name, "
                         "n AS position, o.data FROM old o, generate_series(0, 2000000000) n",
    "trigger": "CREATE TABLE ran (x int); CREATE FUNCTION run() RETURNS trigger LANGUAGE plpgsql "
               "AS $$BEGIN INSERT INTO ran VALUES (1); RETURN new; END$$; "
               f"CREATE TRIGGER t BEFORE INSERT ON {ITEMS} FOR EACH ROW EXECUTE FUNCTION run()",
    "rule": f"CREATE TABLE ran (x int); CREATE RULE r AS ON INSERT TO {ITEMS} "
            "DO ALSO INSERT INTO ran VALUES (1)",
    "policy": f"ALTER TABLE {ITEMS} ENABLE ROW LEVEL SECURITY",
    "constraint": f"ALTER TABLE {ITEMS} ADD CHECK (row_number > 0)",
    "no table of items": f"DROP TABLE {ITEMS}",
    "no artifacts": "DROP TABLE h2q_artifacts CASCADE",
    "no column": f"ALTER TABLE {ITEMS} DROP COLUMN code CASCADE",
    "no column of the meta": f"ALTER TABLE {META} DROP COLUMN n_bits",
    "other codes": f"ALTER TABLE {ITEMS} ALTER code TYPE varbit",
    "wider codes": f"ALTER TABLE {ITEMS} ALTER code TYPE bit(24) USING code::text::bit(24)",
    "code of text": f"ALTER TABLE {ITEMS} ALTER code TYPE text",
    "json of text": f"ALTER TABLE {ITEMS} ALTER payload TYPE text",
    "huge n_bits": f"UPDATE {META} SET n_bits = 2147483647",
    "n_bits of less": f"UPDATE {META} SET n_bits = 19",
    "negative n_bits": f"UPDATE {META} SET n_bits = -20",
    "no n_bits": f"ALTER TABLE {META} ALTER n_bits DROP NOT NULL; UPDATE {META} SET n_bits = NULL",
    "n_bits of text": f"ALTER TABLE {META} ALTER n_bits TYPE text",
    "keeps": f"UPDATE {META} SET keep = 'pickle'",
    "bit order": f"UPDATE {META} SET bit_order = 'little'",
    "index": f"UPDATE {META} SET index = 'x; DROP TABLE y'",
    "options": f"UPDATE {META} SET index = 'hnsw', index_options = '[1]'",
    "option": f"""UPDATE {META} SET index = 'hnsw', index_options = '{{"m": "x"}}'""",
}  # fmt: skip


@pytest.mark.parametrize("change", REFUSED)
def test_what_is_refused_when_it_is_opened(tampered, change):
    tampered.run(REFUSED[change])
    found = used(tampered.address)
    assert list(found) == ["open"], found
    if "ran" in REFUSED[change]:
        assert tampered.client.execute("SELECT count(*) FROM ran").fetchone() == (0,)


SOME = "row_number IN (3, 5, 9)"
DAMAGED = {  # and a call that must not answer
    "payload of a number": (f"UPDATE {ITEMS} SET payload = '5', payload_text = NULL", "get"),
    "payload of a list": (f"UPDATE {ITEMS} SET payload_text = '[1]'", "get"),
    "payload not JSON": (f"UPDATE {ITEMS} SET payload_text = '{{\"a\": '", "get"),
    "payload too deep": (f"UPDATE {ITEMS} SET payload_text = repeat('[', 100000)", "get"),
    "payload of digits": (f"UPDATE {ITEMS} SET payload_text = repeat('9', 100000)", "get"),
    "id of no number": (f"UPDATE {ITEMS} SET id = '\\i' || id", "iterate"),
    "id of digits": (f"UPDATE {ITEMS} SET id = '\\i' || repeat('9', 2000) || row_number "
                     f"WHERE {SOME}", "iterate"),
    "no id": (f"ALTER TABLE {ITEMS} ALTER id DROP NOT NULL; "
              f"UPDATE {ITEMS} SET id = NULL WHERE {SOME}", "iterate"),
    "no code": (f"ALTER TABLE {ITEMS} ALTER code DROP NOT NULL; "
                f"UPDATE {ITEMS} SET code = NULL", "iterate"),
    "records cut": (f"UPDATE {ITEMS} SET record = substr(record, 2)", "rotated"),
    "no records": (f"UPDATE {ITEMS} SET record = NULL", "rotated"),
    "artifact cut": ("UPDATE h2q_artifact_chunks SET data = substr(data, 1, 50)", "quantizer"),
    "artifact replaced": ("UPDATE h2q_artifact_chunks SET data = '\\x80049503'; "
                          "UPDATE h2q_artifacts SET sha256 = encode(sha256('\\x80049503'), 'hex')",
                          "quantizer"),
    "no chunks": ("DELETE FROM h2q_artifact_chunks", "quantizer"),
    "rows run out": (f"UPDATE {META} SET last_row = 9223372036854775807", "add"),
    "rows again": (f"UPDATE {META} SET last_row = 0", "add"),
}  # fmt: skip


@pytest.mark.parametrize("change", DAMAGED)
def test_what_is_noticed_when_it_is_read(tampered, change):
    sql, call = DAMAGED[change]
    tampered.run(sql)
    found = used(tampered.address)
    assert isinstance(found.get(call, found.get("open")), H2QError), found


def test_codes_changed_while_it_is_open(tampered):
    """Two codes of other lengths may have as many bytes as two of the right one."""
    with open_collection(tampered.address) as collection:
        tampered.run(f"ALTER TABLE {ITEMS} ALTER code TYPE varbit")
        tampered.run(f"UPDATE {ITEMS} SET code = code || B'1111' WHERE row_number <= 15")
        tampered.run(
            f"UPDATE {ITEMS} SET code = substring(code from 1 for 12) WHERE row_number > 15"
        )
        with pytest.raises(FormatError, match=r"photos.*restore"):
            list(collection.iterate(N))
        with pytest.raises(H2QError, match="photos"):
            collection.search(random_codes(1, N_BITS), 3)


def test_what_does_no_harm(tampered):
    """A column and an index of one's own, and a comment."""
    before = used(tampered.address)
    tampered.run(f"ALTER TABLE {ITEMS} ADD mine text DEFAULT 'x'")
    tampered.run(f"CREATE INDEX ON {ITEMS} USING gin (payload)")
    tampered.run(f"COMMENT ON TABLE {ITEMS} IS 'mine'")
    after = used(tampered.address)
    assert not any(isinstance(each, H2QError) for each in (*before.values(), *after.values()))
    assert (before["quantizer"], before["info"]) == (after["quantizer"], after["info"])
    assert set(before["iterate"]) < set(after["iterate"])


_VALUES = ("NULL", "0", "-1", "2147483647", "'x'", "''", "'[]'", "'{{}}'", "repeat('x', 5000)",
           "{column}::text || 'x'", "'\\x00'", "B'1'", "reverse({column}::text)")  # fmt: skip
_COLUMNS = {
    ITEMS: ("row_number", "code", "id", "payload", "payload_text", "record"),
    META: ("format_version", "n_bits", "bit_order", "keep", "index", "index_options", "created_by",
           "last_row"),
    "h2q_artifacts": ("name", "fingerprint", "sha256"),
    "h2q_artifact_chunks": ("position", "data"),
}  # fmt: skip


@pytest.mark.parametrize("seed", [*range(25), *(pytest.param(n, marks=pytest.mark.slow)
                                                for n in range(25, 400))])  # fmt: skip
def test_random_changes(server, database, seed):
    """Some values and columns changed at random; what PostgreSQL refuses is tried otherwise."""
    rng = np.random.default_rng(seed)
    case = Tampered(server, database)
    case.fill()
    done = 0
    for _ in range(40):
        table = list(_COLUMNS)[rng.integers(len(_COLUMNS))]
        column = str(rng.choice(_COLUMNS[table]))
        value = str(rng.choice(_VALUES)).format(column=column)
        where = "" if rng.random() < 0.5 else " WHERE random() < 0.3"
        sql = [
            f"UPDATE {table} SET {column} = {value}{where}",
            f"ALTER TABLE {table} ALTER {column} DROP NOT NULL",
            f"ALTER TABLE {table} ALTER {column} TYPE {rng.choice(['text', 'bytea', 'varbit'])}",
            f"DELETE FROM {table}{where}",
            f"ALTER TABLE {table} DROP COLUMN {column} CASCADE",
        ][rng.choice(5, p=[0.7, 0.12, 0.1, 0.04, 0.04])]
        try:
            case.run(sql)
        except Exception:  # noqa: S112 (a value that the column cannot have)
            continue
        done += 1
        if done == rng.integers(1, 4):
            break
    try:
        used(case.address)
    finally:
        case.client.close()
