"""Payloads come back as given, and conditions mean in PostgreSQL what they mean everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL

from h2q.codes import pack
from h2q.collections import open_collection
from h2q.collections.conditions import parse_where
from h2q.collections.pgvector.conditions import compile_node
from h2q.collections.pgvector.payloads import to_columns
from tests.collections.conformance import random_codes
from tests.collections.pgvector.server import PostgresServer
from tests.collections.test_filters import PAYLOADS, WHERES, reference

SETTINGS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def connection(server: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    with server.connect() as connection:
        yield connection


def matches(connection: Any, payloads: list[Any], where: dict[str, Any]) -> list[bool]:
    condition = compile_node(parse_where(where))
    statement = SQL(
        "SELECT {} FROM unnest(%s::text[]::jsonb[]) WITH ORDINALITY AS t (payload, n) ORDER BY n"
    ).format(condition.sql)
    texts = [
        None if p is None else to_columns(json.dumps(p, ensure_ascii=False))[0].decode()
        for p in payloads
    ]
    values = [v for (v,) in connection.execute(statement, (*condition.parameters, texts))]
    assert all(type(value) is bool for value in values), "never null"
    return values


@SETTINGS
@given(st.lists(PAYLOADS, min_size=1, max_size=8), WHERES)
def test_means_what_python_means(connection, payloads, where):
    assert matches(connection, payloads, where) == [reference(p, where) for p in payloads]


# What jsonb cannot hold, or holds as something else; neighbours of each, to be told apart.
ODD = st.sampled_from(
    ["", "\0", "\1", "\1\1", "\1\2", "\0\0", "\2", "a\0b", "a\1b", "a", "a\0", "\\u0000", "e+",
     "-0.0", 0, -0.0, 0.0, 5e-324, -1e-300, 0.1, 2**53, 2**53 + 1, 2.0**53, -(2.0**53) - 2, 2**62,
     2.0**62, 4611686018427388000, 2**63 - 1, 2.0**63, 1e16, 10**16, 1e22, 1e23, 1e300, -1e300,
     1.7976931348623157e308]
)  # fmt: skip
ORDER = st.sampled_from(["$lt", "$lte", "$gt", "$gte", "$eq", "$ne", "$contains"])


@SETTINGS
@given(st.lists(ODD | st.lists(ODD, max_size=3), min_size=1, max_size=8), ORDER, ODD, st.data())
def test_odd_values_compare_as_in_python(connection, values, operator, wanted, data):
    key = data.draw(st.sampled_from(["x", "\0", "\1"]))
    payloads = [{key: value} for value in values]
    for where in ({key: {operator: wanted}}, {key: {"$in": [wanted, "a\0b"]}}):
        assert matches(connection, payloads, where) == [reference(p, where) for p in payloads]


@SETTINGS
@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**63 - 1))
def test_numbers_compare_to_the_last_bit(connection, real, whole):
    payloads = [{"x": value} for value in (real, whole, float(whole))]
    for value in (real, whole):
        for operator in ("$eq", "$lt", "$gte"):
            where = {"x": {operator: value}}
            assert matches(connection, payloads, where) == [reference(p, where) for p in payloads]


def test_a_list_of_any_length(connection):
    wanted = [f"label {i}" for i in range(100_000)]
    where = {"x": {"$in": wanted}}
    assert matches(connection, [{"x": "label 99999"}, {"x": "no"}], where) == [True, False]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text() | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def exactly(value: Any) -> Any:
    """What tells 1 from 1.0 and -0.0 from 0.0; the order of keys means nothing in JSON."""
    return json.dumps(value, sort_keys=True)


@settings(parent=SETTINGS, max_examples=60)
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), min_size=1, max_size=5))
def test_payloads_come_back_exactly(server, payloads):
    with open_collection(server.address(collection="payloads"), n_bits=20) as collection:
        collection.add(range(len(payloads)), random_codes(len(payloads), 20), payloads)
        items = collection.get(range(len(payloads)))
    assert [exactly(item.payload) for item in items] == [exactly(p) for p in payloads]


IDS = st.integers(-(2**63), 2**63 - 1) | st.text() | st.sampled_from(
    ["\\", "\\i1", "\\\\i1", "\\0", "\0", "\\\0", "1", "i1", 1, "\\i"]
)  # fmt: skip


@settings(parent=SETTINGS, max_examples=60)
@given(st.lists(IDS, min_size=1, max_size=8, unique_by=lambda i: (type(i), i)))
def test_any_ids_are_kept_apart(server, ids):
    with open_collection(server.new_address(), n_bits=20) as collection:
        codes = random_codes(len(ids), 20)
        collection.add(ids, codes)
        assert list(collection) == ids
        assert [item.code.tobytes() for item in collection.get(ids)] == [c.tobytes() for c in codes]
        found = collection.search(pack([[1.0] * 20]), len(ids)).ids[0]
        assert sorted(map(repr, found)) == sorted(map(repr, ids))
        assert collection.delete(ids[:1]) == 1
        assert list(collection) == ids[1:]
