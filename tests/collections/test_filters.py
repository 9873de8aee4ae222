"""Conditions mean what Python's own comparison of the JSON values means."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2q.collections.filters import compile_where
from h2q.errors import InvalidInputError


def matches(payloads: list[Any], where: dict[str, Any]) -> list[bool]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, payload TEXT)")
    connection.executemany(
        "INSERT INTO t (payload) VALUES (?)",
        [(None if p is None else json.dumps(p, ensure_ascii=False),) for p in payloads],
    )
    condition = compile_where(where)
    condition.prepare(connection)
    statement = f"SELECT {condition.sql} FROM t ORDER BY n"  # noqa: S608 (the statement under test)
    values = [v for (v,) in connection.execute(statement, condition.parameters)]
    assert set(values) <= {0, 1}, "a condition is 1 or 0, never NULL"
    connection.close()
    return [v == 1 for v in values]


def equal(value: object, wanted: object) -> bool:
    """Equality of JSON scalars: a boolean is no number."""
    if isinstance(value, bool) or isinstance(wanted, bool) or value is None or wanted is None:
        return value is wanted
    return not isinstance(value, dict | list) and value == wanted


def reference(payload: Any, where: dict[str, Any]) -> bool:
    return all(_reference_of_key(payload, key, wanted) for key, wanted in where.items())


def _reference_of_key(payload: Any, key: str, wanted: Any) -> bool:
    if key in ("$and", "$or"):
        return (all if key == "$and" else any)(reference(payload, each) for each in wanted)
    if key == "$not":
        return not reference(payload, wanted)
    values = list(_values(payload, key.split(".")))
    if not isinstance(wanted, dict):
        wanted = {"$eq": wanted}
    return all(_by_any_reading(values, name, operand) for name, operand in wanted.items())


def _values(value: Any, parts: list[str]) -> Iterator[Any]:
    """What stands under a dotted key, whichever of its dots are the key's own."""
    if not parts:
        yield value
    for end in range(1, len(parts) + 1):
        if isinstance(value, dict) and ".".join(parts[:end]) in value:
            yield from _values(value[".".join(parts[:end])], parts[end:])


def _by_any_reading(values: list[Any], name: str, operand: Any) -> bool:
    positive = {"$ne": "$eq", "$nin": "$in"}.get(name)
    if positive is not None:
        return not _by_any_reading(values, positive, operand)
    if name == "$exists":
        return bool(values) is operand
    return any(_operate(value, name, operand) for value in values)


def _operate(value: Any, name: str, operand: Any) -> bool:
    if name == "$eq":
        return equal(value, operand)
    if name == "$in":
        return any(equal(value, each) for each in operand)
    if name == "$contains":
        return isinstance(value, list) and any(equal(each, operand) for each in value)
    for kind in (str, int | float):
        if isinstance(value, kind) and isinstance(operand, kind) and not isinstance(value, bool):
            less, same = value < operand, value == operand
            return {"$lt": less, "$lte": less or same, "$gt": not less and not same,
                    "$gte": not less}[name]  # fmt: skip
    return False


# From a small pool, so that values meet their equals and their look-alikes.
SCALARS = st.sampled_from(
    [None, True, False, 0, 1, 2, -1, 1.0, 0.1, 1e300, 2**62, "", "1", "a", "A", "ä", "z", "1.0",
     "null", "true", "[1]", "\U0001f600", "\ufffd", "'; DROP TABLE t; --", "a\0", "a\0b", "\0"]
)  # fmt: skip
KEYS = st.sampled_from(
    ["a", "b", "a b", "ü", "'", "[0]", "$a", "a'b", "a.b", "a\tb", "\n", "\0", "b.a.b"]
)
PAYLOADS = st.none() | st.dictionaries(
    KEYS,
    SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(KEYS, SCALARS, max_size=2),
    max_size=4,
)
FIELDS = KEYS.filter(lambda k: not k.startswith("$"))
PATHS = FIELDS | st.tuples(FIELDS, FIELDS).map(".".join)
ORDERED = SCALARS.filter(lambda v: v is not None and not isinstance(v, bool))
TESTS = (
    SCALARS
    | st.fixed_dictionaries({}, optional={"$eq": SCALARS, "$ne": SCALARS})
    | st.fixed_dictionaries({}, optional=dict.fromkeys(("$lt", "$lte", "$gt", "$gte"), ORDERED))
    | st.fixed_dictionaries({"$in": st.lists(SCALARS, max_size=4)})
    | st.fixed_dictionaries({"$nin": st.lists(SCALARS, max_size=4)})
    | st.fixed_dictionaries({"$contains": SCALARS})
    | st.fixed_dictionaries({"$exists": st.booleans()})
).filter(lambda test: test != {})
WHERES = st.recursive(
    st.dictionaries(PATHS, TESTS, max_size=2),
    lambda inner: st.fixed_dictionaries(
        {}, optional={"$and": st.lists(inner, max_size=3), "$or": st.lists(inner, max_size=3),
                      "$not": inner}
    ),
    max_leaves=4,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(PAYLOADS, min_size=1, max_size=8), WHERES)
def test_means_what_python_means(payloads, where):
    assert matches(payloads, where) == [reference(p, where) for p in payloads]


@settings(max_examples=100, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_equals_itself_to_the_last_bit(value):
    for where in ({"x": value}, {"x": {"$in": [value]}}, {"x": {"$gte": value, "$lte": value}}):
        assert matches([{"x": value}], where) == [True]


def test_a_list_of_any_length():
    wanted = [f"label {i}" for i in range(100_000)]
    assert matches([{"x": "label 99999"}, {"x": "no"}], {"x": {"$in": wanted}}) == [True, False]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("label = 1", "is a dict"),
        ([{"a": 1}], "is a dict"),
        ({1: 2}, "are str"),
        ({"$nor": []}, r"\$nor"),
        ({"$or": {"a": 1}}, "list of conditions"),
        ({"$not": [1]}, "is a dict"),
        ({"a": {"$like": "x"}}, r"\$like"),
        ({"a": {"b": 1}}, "unknown operator 'b'"),
        ({"a": {}}, "is empty"),
        ({"a": [1, 2]}, "compares with"),
        ({"a": {"$in": "abc"}}, "list of values"),
        ({"a": {"$in": [[1]]}}, "compares with"),
        ({"a": {"$gt": None}}, "have an order"),
        ({"a": {"$gt": True}}, "have an order"),
        ({"a": {"$exists": 1}}, "True or False"),
        ({"a": float("nan")}, "nan"),
        ({"a": {"$lt": float("inf")}}, "inf"),
        ({"a": 2**63}, "64 bits"),
        ({'a"b': 1}, "cannot be used"),
        ({"a\\b": 1}, "cannot be used"),
        ({"a..b": 1}, "cannot be used"),
        ({"": 1}, "cannot be used"),
    ],
)
def test_other_forms_are_refused(where, words):
    with pytest.raises(InvalidInputError, match=words):
        compile_where(where)


def test_deep_nesting_is_refused():
    where: dict[str, Any] = {"a": 1}
    for _ in range(50):
        where = {"$not": where}
    with pytest.raises(InvalidInputError, match="deep"):
        compile_where(where)
