"""Conditions on payloads as SQL for PostgreSQL: true or false for every row, never null.

Keys and values travel as parameters only, so no condition can alter a statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from psycopg.sql import SQL, Composable

from h2q.collections.conditions import (
    AnyOf,
    Compares,
    Contains,
    Equals,
    Every,
    Exists,
    Node,
    Not,
)
from h2q.collections.pgvector.payloads import to_jsonb, to_key

_SIGNS: Final = {"gt": SQL(">"), "gte": SQL(">="), "lt": SQL("<"), "lte": SQL("<=")}


class Condition(NamedTuple):
    """SQL and its parameters."""

    sql: Composable
    parameters: tuple[str | list[str], ...]


EVERYTHING: Final = Condition(SQL("TRUE"), ())


def compile_node(node: Node | None) -> Condition:
    """Compile a condition on the column `payload`; None holds everywhere."""
    return EVERYTHING if node is None else _compile(node)


def _compile(node: Node) -> Condition:
    if isinstance(node, Every):
        return _join([_compile(each) for each in node.parts], SQL(" AND "), SQL("TRUE"))
    if isinstance(node, AnyOf):
        return _join([_compile(each) for each in node.parts], SQL(" OR "), SQL("FALSE"))
    if isinstance(node, Not):
        inner = _compile(node.part)
        return Condition(SQL("NOT ({})").format(inner.sql), inner.parameters)
    # Null where the key is absent; a null that is there is a value. A text never goes into a list.
    field = SQL("(payload{})").format(SQL(" -> %s::text") * len(node.path))
    path = tuple(to_key(part) for part in node.path)
    if isinstance(node, Exists):
        return Condition(SQL("({} IS NOT NULL)").format(field), path)
    if isinstance(node, Equals):  # of jsonb: by type, and of numbers by value
        sql = SQL("COALESCE({} = %s::jsonb, FALSE)").format(field)
        return Condition(sql, (*path, to_jsonb(node.value)))
    if isinstance(node, Contains):
        sql = SQL("COALESCE(jsonb_typeof({0}) = 'array' AND {0} @> %s::jsonb, FALSE)").format(field)
        return Condition(sql, (*path, *path, to_jsonb([node.value])))
    if isinstance(node, Compares):
        return _compare(field, path, node)
    sql = SQL("COALESCE({} = ANY(%s::text[]::jsonb[]), FALSE)").format(field)
    return Condition(sql, (*path, [to_jsonb(value) for value in node.values]))


def _compare(field: Composable, path: tuple[str, ...], node: Compares) -> Condition:
    if isinstance(node.value, str):
        form = SQL(
            "CASE WHEN jsonb_typeof({0}) = 'string' "
            "THEN ({0} #>> '{{}}') COLLATE \"C\" {1} %s::text ELSE FALSE END"
        )
        value = to_key(node.value)
    else:
        form = SQL(
            "CASE WHEN jsonb_typeof({0}) = 'number' "
            "THEN {0}::numeric {1} %s::numeric ELSE FALSE END"
        )
        value = to_jsonb(node.value)
    return Condition(form.format(field, _SIGNS[node.order]), (*path, *path, value))


def _join(parts: Sequence[Condition], word: SQL, empty: SQL) -> Condition:
    if not parts:
        return Condition(empty, ())
    sql = SQL("({})").format(word.join([part.sql for part in parts]))
    return Condition(sql, tuple(p for part in parts for p in part.parameters))
