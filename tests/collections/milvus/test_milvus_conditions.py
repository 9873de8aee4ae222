"""Conditions mean the same to a Milvus server as to Python, or are not left to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from h2q import open_collection
from h2q.collections.conditions import parse_where
from h2q.collections.milvus.expressions import NOTHING, compile_node
from tests.collections.test_filters import KEYS, SCALARS, WHERES, reference

pytestmark = pytest.mark.slow

WORDS = ("a", "b", "a b", "x9", "07")
VALUES: list[Any] = [
    None, True, False, 0, 1, 2, -1, 1.0, 0.1, -0.0, 1e300, 1e-7, 2**53 + 1, 2**62, 2**70, "", "1",
    "a", "A", "ä", "z", "1.0", "\U0001f600", "\ufffd", "'; DROP", 'q"', "b\\", "\0", "a\nb", [],
    [1, "a"], ["a", None], [[1]], {}, {"b": 1}, {"0": "a"}, {"b": {"b": "a"}},
]  # fmt: skip
PAYLOADS: list[Any] = [
    None,
    {},
    *({word: value} for word in WORDS for value in VALUES),
    *({"a": value, "b": VALUES[::-1][i]} for i, value in enumerate(VALUES)),
    {"ü": 1, "a/b": 1, "a~b": 1, "'": 1, "[0]": 1},
]


@pytest.fixture(scope="module")
def held(server):
    with open_collection(f"milvus://{server.address}/conditions", n_bits=8) as collection:
        n = len(PAYLOADS)
        collection.add(range(n), np.zeros((n, 1), np.uint8), PAYLOADS)
        yield collection


def check(held: Any, where: dict[str, Any]) -> None:
    wanted = [i for i, payload in enumerate(PAYLOADS) if reference(payload, where)]
    assert held.count(where) == len(wanted)
    assert [i for batch in held.iterate(where=where) for i in batch.ids] == wanted
    assert held.search(np.zeros(1, np.uint8), 7, where).ids == [wanted[:7]]


SCALAR = st.sampled_from([v for v in VALUES if not isinstance(v, list | dict) and v != 2**70])
ORDERED = SCALAR.filter(lambda v: v is not None and not isinstance(v, bool))
PATHS = st.sampled_from([*WORDS, "a.b", "a.0", "a.b.b", "ü", "a/b", "b.0"])
TESTS = (
    SCALAR
    | st.fixed_dictionaries({}, optional={"$eq": SCALAR, "$ne": SCALAR})
    | st.fixed_dictionaries({}, optional=dict.fromkeys(("$lt", "$lte", "$gt", "$gte"), ORDERED))
    | st.fixed_dictionaries({"$in": st.lists(SCALAR, max_size=5)})
    | st.fixed_dictionaries({"$nin": st.lists(SCALAR, max_size=5)})
    | st.fixed_dictionaries({"$contains": SCALAR})
    | st.fixed_dictionaries({"$exists": st.booleans()})
).filter(lambda test: test != {})
CONDITIONS = st.recursive(
    st.dictionaries(PATHS, TESTS, max_size=2),
    lambda inner: st.fixed_dictionaries(
        {}, optional={"$and": st.lists(inner, max_size=3), "$or": st.lists(inner, max_size=3),
                      "$not": inner}
    ),
    max_leaves=4,
)  # fmt: skip


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(CONDITIONS)
def test_the_server_means_what_python_means(held, where):
    check(held, where)


@pytest.mark.parametrize("value", [v for v in VALUES if not isinstance(v, list | dict)])
def test_each_value_equals_itself_alone(held, value):
    if value != 2**70:
        check(held, {"a": value})
        check(held, {"a": {"$in": [value]}})


@settings(max_examples=300, deadline=None)
@given(WHERES, st.dictionaries(KEYS, SCALARS, max_size=3) | st.none())
def test_this_side_means_what_python_means(where, payload):
    assert compile_node(parse_where(where), negate=True).holds(payload) == reference(payload, where)


@pytest.mark.parametrize(
    ("where", "expression", "exact"),
    [
        (None, "", True),
        ({}, "", True),
        ({"a": "x"}, 'payload["a"] == "x"', True),
        ({"a.b c": 1.5}, '(payload["a"]["b c"] == 1.5) or (payload["a.b c"] == 1.5)', True),
        ({"$or": [{"a": i} for i in range(101)]}, "", False),
        ({"a": 'q"\\'}, 'payload["a"] == "q\\"\\\\"', True),
        ({"a": {"$gte": 1, "$lt": 3}}, '(payload["a"] >= 1) and (payload["a"] < 3)', True),
        ({"a": {"$ne": "x"}}, 'not (payload["a"] == "x")', True),
        ({"a": {"$in": []}}, NOTHING, True),
        ({"$not": {}}, NOTHING, True),
        ({"a": {"$in": ["x", 1, "y"]}}, '(payload["a"] in ["x", "y"]) or (payload["a"] in [1])',
         True),
        ({"a": "x", "b": None}, 'payload["a"] == "x"', False),
        ({"a": {"$exists": True}}, "", False),
        ({"ü": 1}, "", False),
        ({"a.0": 1}, "", False),
        ({"a": 2**53}, "", False),
        ({"a": {"$contains": 1}}, "", False),
        ({"a": {"$contains": "x"}}, 'json_contains(payload["a"], "x")', True),
        ({"$or": [{"a": 1}, {"b": None}]}, "", False),
        ({"$or": [{}, {"b": None}]}, "", True),
        ({"$not": {"b": None}}, "", False),
    ],
)  # fmt: skip
def test_what_is_left_to_the_server(where, expression, exact):
    compiled = compile_node(None if where is None else parse_where(where), negate=True)
    assert (compiled.expression, compiled.exact) == (expression, exact)


def test_a_server_with_unknowns_is_not_asked_to_negate():
    compiled = compile_node(parse_where({"a": {"$ne": 1}, "b": 2}), negate=False)
    assert (compiled.expression, compiled.exact) == ('payload["b"] == 2', False)
