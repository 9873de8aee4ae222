"""Conditions on payloads: a small language of dicts, compiled to parameterised SQL for SQLite.

A condition maps keys of the payload to what they must be; all must hold::

    {"label": "cat"}                                  # equals
    {"year": {"$gte": 2020, "$lt": 2024}}             # $gt $gte $lt $lte, numbers or strings
    {"label": {"$in": ["cat", "dog"]}}                # also $nin
    {"label": {"$ne": "cat"}}                         # true where the key is absent, too
    {"tags": {"$contains": "beach"}}                  # a list that holds the value
    {"gps": {"$exists": True}}                        # the key is there, be it null
    {"camera.maker": "Leica"}                         # into a nested object, or a key with a dot
    {"$or": [{"label": "cat"}, {"year": 2020}]}       # also $and, $not

Values compare by JSON type: `True` is not `1`, `1` is `1.0`, `"1"` is neither, and `None` equals
only a null that is there. Order compares numbers with numbers and strings with strings (by code
point). Keys and values travel as SQL parameters only, so no condition can alter a statement.
`h2q.collections.conditions` checks a condition and takes it apart; here it becomes SQL. Where
SQLite means something else by it (it cuts a text at U+0000, and versions differ on keys with
control characters), Python decides, by a function that the statement calls.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from h2q.collections.conditions import (
    AnyOf,
    Compares,
    Contains,
    Equals,
    Every,
    Exists,
    Node,
    Not,
    OneOf,
    holds,
    parse_where,
)
from h2q.collections.values import Scalar

__all__ = ["Condition", "compile_where"]

_SIGNS: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


#: Of a payload's JSON, where it has a NUL: SQLite's functions end a text there.
_NUL: Final = "\\u0000"
_FUNCTION: Final = "h2q_holds"


class Condition(NamedTuple):
    """SQL that is 1 or 0 for every row, and its parameters.

    A connection must have been told of it by `prepare` when a statement with it runs.
    """

    sql: str
    parameters: tuple[str | int | float, ...]
    node: Node = Every(())

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Let the connection's statements ask Python whether this condition holds."""
        if _FUNCTION in self.sql:

            def ask(text: str | None) -> bool:
                return holds(self.node, None if text is None else json.loads(text))

            connection.create_function(_FUNCTION, 1, ask)

    @property
    def key(self) -> str:
        """By which two are the same."""
        return json.dumps([self.sql, *self.parameters]) if "?" in self.sql else repr(self.node)


class _Value(NamedTuple):
    """How SQL names a JSON value and its type."""

    value: str
    kind: str
    parameters: tuple[str, ...]


def compile_where(where: Mapping[str, Any], column: str = "payload") -> Condition:
    """Compile a condition on the JSON objects in `column`.

    Raises
    ------
    InvalidInputError
        If the condition is not of the forms above; the message names the offending part.
    """
    return compile_node(parse_where(where), column)


def compile_node(node: Node | None, column: str = "payload") -> Condition:
    """Compile a condition that was taken apart; None holds everywhere."""
    if node is None:
        return Condition("1", ())
    if not _is_plain(node):
        return Condition(f"{_FUNCTION}({column})", (), node)
    sql, parameters, _ = _compile(node, column)
    if _has_text(node):
        sql = f"CASE WHEN instr({column}, ?) THEN {_FUNCTION}({column}) ELSE {sql} END"
        parameters = (_NUL, *parameters)
    return Condition(sql, parameters, node)


def _is_plain(node: Node) -> bool:
    """Whether every version of SQLite finds the keys."""
    if isinstance(node, Every | AnyOf):
        return all(_is_plain(part) for part in node.parts)
    if isinstance(node, Not):
        return _is_plain(node.part)
    return all(part.isprintable() for part in node.path)


def _has_text(node: Node) -> bool:
    """Whether it compares with a text."""
    if isinstance(node, Every | AnyOf):
        return any(_has_text(part) for part in node.parts)
    if isinstance(node, Not):
        return _has_text(node.part)
    if isinstance(node, OneOf):
        return any(isinstance(value, str) for value in node.values)
    return not isinstance(node, Exists) and isinstance(node.value, str)


def _compile(node: Node, column: str) -> Condition:
    if isinstance(node, Every):
        return _join([_compile(each, column) for each in node.parts], "AND", empty="1")
    if isinstance(node, AnyOf):
        return _join([_compile(each, column) for each in node.parts], "OR", empty="0")
    if isinstance(node, Not):
        inner = _compile(node.part, column)
        return Condition(f"NOT ({inner.sql})", inner.parameters)
    path = _json_path(node.path)
    if isinstance(node, Contains):
        return _contains(column, path, node.value)
    field = _Value(f"json_extract({column}, ?)", f"json_type({column}, ?)", (path,))
    if isinstance(node, Equals):
        return _equals(field, node.value)
    if isinstance(node, Compares):
        return _compare(field, _SIGNS[node.order], node.value)
    if isinstance(node, Exists):
        return Condition(f"{field.kind} IS NOT NULL", field.parameters)
    return _in(field, node.values)


def _equals(field: _Value, value: Scalar) -> Condition:
    if value is None or isinstance(value, bool):
        name = {None: "null", True: "true", False: "false"}[value]
        return Condition(f"{field.kind} IS '{name}'", field.parameters)
    return _compare(field, "=", value)


def _compare(field: _Value, operator: str, value: str | int | float) -> Condition:
    kinds = ("text",) if isinstance(value, str) else ("integer", "real")
    guard = " OR ".join(f"{field.kind} IS '{kind}'" for kind in kinds)
    # A float goes through SQLite's own parser, as the payload's numbers do: they then agree to the
    # last bit.
    placeholder, bound = (
        ("json_extract(?, '$')", repr(value)) if isinstance(value, float) else ("?", value)
    )
    return Condition(
        f"(({guard}) AND {field.value} {operator} {placeholder})",
        (*(field.parameters * (len(kinds) + 1)), bound),
    )


def _in(field: _Value, values: Sequence[Scalar]) -> Condition:
    # Where this runs a payload has no NUL; SQLite would cut the list's texts at theirs.
    texts = [v for v in values if isinstance(v, str) and "\0" not in v]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    parts = [_equals(field, v) for v in (None, True, False) if any(v is each for each in values)]
    # A list is bound as one JSON array: the statement stays short however long the list is.
    parts += [_in_list(field, ("text",), texts)] if texts else []
    parts += [_in_list(field, ("integer", "real"), numbers)] if numbers else []
    return _join(parts, "OR", empty="0")


def _in_list(field: _Value, kinds: tuple[str, ...], values: Sequence[Scalar]) -> Condition:
    guard = " OR ".join(f"{field.kind} IS '{kind}'" for kind in kinds)
    return Condition(
        f"(({guard}) AND {field.value} IN (SELECT value FROM json_each(?)))",  # noqa: S608
        (*(field.parameters * (len(kinds) + 1)), json.dumps(values)),
    )


def _contains(column: str, path: str, wanted: Scalar) -> Condition:
    element = _equals(_Value("json_each.value", "json_each.type", ()), wanted)
    return Condition(
        f"(json_type({column}, ?) IS 'array' AND EXISTS "  # noqa: S608
        f"(SELECT 1 FROM json_each({column}, ?) WHERE {element.sql}))",
        (path, path, *element.parameters),
    )


def _join(parts: Sequence[Condition], word: str, empty: str) -> Condition:
    if not parts:
        return Condition(empty, ())
    # By halves: a chain of some thousand would be too deep for SQLite.
    if len(parts) > 8:
        middle = len(parts) // 2
        parts = [_join(parts[:middle], word, empty), _join(parts[middle:], word, empty)]
    sql = f" {word} ".join(part.sql for part in parts)
    return Condition(f"({sql})", tuple(p for part in parts for p in part.parameters))


def _json_path(path: Sequence[str]) -> str:
    """("camera", "maker") as SQLite's path `$."camera"."maker"`."""
    return "$" + "".join(f'."{part}"' for part in path)
