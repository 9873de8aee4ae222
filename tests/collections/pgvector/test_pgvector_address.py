"""Addresses: which server, which collection, and that no password is ever shown."""

from __future__ import annotations

import traceback

import pytest

from h2q.codes import pack
from h2q.collections import open_collection
from h2q.collections.pgvector.address import parse_address
from h2q.errors import InvalidInputError
from tests.collections.conformance import random_codes
from tests.collections.pgvector.server import PASSWORD, PostgresServer


@pytest.mark.parametrize(
    ("uri", "wanted", "collection", "shown"),
    [
        ("postgresql://u:p%40%2F@h:99/d?collection=photos",
         {"user": "u", "password": "p@/", "host": "h", "port": "99", "dbname": "d"},
         "photos", "postgresql://u@h:99/d?collection=photos"),
        ("postgres://h/d", {"host": "h", "dbname": "d"}, "default",
         "postgresql://h/d?collection=default"),
        ("POSTGRESQL://", {}, "default", "postgresql:///?collection=default"),
        ("postgresql:///d?host=/run/pg&collection=%C3%BC%20x&sslmode=require&password=secret",
         {"host": "/run/pg", "dbname": "d", "sslmode": "require", "password": "secret"},
         "ü x", "postgresql://%2Frun%2Fpg/d?sslmode=require&collection=%C3%BC%20x"),
        ("postgresql://a:1,b:2/d", {"host": "a,b", "port": "1,2", "dbname": "d"}, "default",
         "postgresql://a:1,b:2/d?collection=default"),
        ("postgresql://[::1]:5/d", {"host": "::1", "port": "5", "dbname": "d"}, "default",
         "postgresql://[::1]:5/d?collection=default"),
    ],
)  # fmt: skip
def test_is_taken_apart(uri, wanted, collection, shown):
    address = parse_address(uri)
    assert address.secret() == wanted
    assert (address.collection, address.shown) == (collection, shown)
    again = parse_address(address.shown)
    assert (again.collection, again.shown) == (collection, shown)
    secret = wanted.get("password", "\0")
    assert secret not in repr(address)


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://u:s3cret@x@h/d",
        "postgresql://u:s3/cret@h/d",
        "postgresql://u:s3%cret@h/d",
        "postgresql://u:s3cret@h/d?nonsense=1",
        "postgresql://u:s3cret@h:port/d",
        "postgresql://u:s3cret@[::1/d",
    ],
)
def test_what_is_not_understood_is_not_shown(uri):
    """A plain sign in a password cuts it; nothing of it is in what is raised."""
    with pytest.raises(InvalidInputError, match="%40") as caught:
        parse_address(uri)
    assert "s3" not in str(caught.value)
    assert "ProgrammingError" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("password", ["s3:9", "s3?cret", "s3#"])
def test_signs_that_do_no_harm_in_a_password(password):
    address = parse_address(f"postgresql://u:{password}@h/d?collection=a")
    assert (address.secret()["password"], address.collection) == (password, "a")
    assert address.shown == "postgresql://u@h/d?collection=a"


@pytest.mark.parametrize("name", ["", "x" * 49, "ü" * 25, "a%00b", "50%25"])
def test_bad_names_are_refused(name):
    with pytest.raises(InvalidInputError, match="1 to 48 bytes"):
        parse_address(f"postgresql://h/d?collection={name}")
    with pytest.raises(InvalidInputError, match="more than one"):
        parse_address("postgresql://h/d?collection=a&collection=b")


def test_collections_of_a_database_are_apart(server: PostgresServer):
    """Any name, quoted safely; the longest, and two that differ in its last letter."""
    names = ["default", 'a"; DROP TABLE h2q_collections; --', "{} 's", "A", "a", "x" * 47 + "1",
             "x" * 47 + "2", "ü" * 24, "a_items"]  # fmt: skip
    for number, name in enumerate(names):
        with open_collection(
            server.address(collection=name), n_bits=8 + number, index="hnsw"
        ) as collection:
            collection.add([name], random_codes(1, 8 + number))
    for number, name in enumerate(names):
        with open_collection(server.address(collection=name)) as collection:
            assert (collection.n_bits, list(collection)) == (8 + number, [name])


def test_the_password_is_never_shown(server: PostgresServer):
    address = server.new_address()
    with open_collection(address, n_bits=20) as collection:
        for text in (collection.uri, repr(collection), repr(collection.info())):
            assert PASSWORD not in text
            assert "s3cret" not in text
        assert collection.uri == address.replace(":s3cret%2Fword%401@", "@").replace(" ", "%20")
        collection.add(["a"], pack([[1.0] * 20]))


def test_without_psycopg_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(ImportError, match=r"h2q\[pgvector\]"):
        open_collection("postgresql://localhost/x", n_bits=20)
