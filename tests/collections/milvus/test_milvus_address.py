"""Addresses, and what needs no server to be refused."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from h2q import open_collection
from h2q.collections.milvus.address import parse_address
from h2q.errors import CollectionError, InvalidInputError


def test_all_parts_of_an_address():
    address = parse_address(
        "milvus://an%40na:p%2Fw%3A@db.example:1234/photos?database=two&secure=true"
        "&consistency=session"
    )
    assert (address.host, address.port, address.name) == ("db.example", 1234, "photos")
    assert (address.user, address.secret()) == ("an@na", "p/w:")
    assert (address.database, address.secure, address.consistency) == ("two", True, "Session")
    assert address.server == "https://db.example:1234"


def test_an_address_is_shown_without_its_password():
    address = parse_address("milvus://anna:secret@localhost/photos")
    assert str(address) == "milvus://anna@localhost:19530/photos"
    assert "secret" not in repr(address)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("milvus://localhost:19530", "name of a Milvus collection"),
        ("milvus://localhost/a/b", "name of a Milvus collection"),
        ("milvus://localhost/1a", "name of a Milvus collection"),
        ("milvus://localhost/a-b", "name of a Milvus collection"),
        (f"milvus://localhost/{'a' * 201}", "name of a Milvus collection"),
        ("milvus:///photos", "has the form milvus://"),
        ("milvus://localhost:port/photos", "form milvus://"),
        ("milvus://localhost:99999/photos", "form milvus://"),
        ("milvus://localhost/photos?nprobe=3", "unknown nprobe"),
        ("milvus://localhost/photos?secure=1", "secure=1"),
        ("milvus://localhost/photos?consistency=none", "consistency=none"),
    ],
)
def test_other_addresses_are_refused(uri, words):
    with pytest.raises(InvalidInputError, match=words):
        open_collection(uri, n_bits=64)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan")])
def test_a_bad_timeout_is_refused(timeout):
    with pytest.raises(InvalidInputError, match="timeout"):
        open_collection("milvus://localhost/photos", n_bits=64, timeout=timeout)


def test_nobody_at_the_address_is_said_in_seconds():
    pytest.importorskip("pymilvus")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(CollectionError, match=f"127.0.0.1:{port}.*check the host, the port"):
        open_collection(f"milvus://anna:secret@127.0.0.1:{port}/photos", n_bits=64)
    assert time.monotonic() - started < 15


def test_one_who_does_not_answer_is_given_up_in_time():
    pytest.importorskip("pymilvus")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        address = f"milvus://127.0.0.1:{silent.getsockname()[1]}/photos"
        started = time.monotonic()
        with pytest.raises(CollectionError, match="no answer"):
            open_collection(address, n_bits=64, timeout=2)
        assert time.monotonic() - started < 10


def test_pymilvus_is_imported_when_needed_and_named_when_missing():
    script = """
import sys
import h2q, h2q.collections
h2q.open_collection
assert "pymilvus" not in sys.modules
sys.modules["pymilvus"] = None
try:
    h2q.open_collection("milvus://localhost/photos", n_bits=8)
except h2q.errors.MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "h2q[milvus]" in done.stdout
