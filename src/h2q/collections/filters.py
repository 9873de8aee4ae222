"""Conditions on payloads: a small language of dicts, compiled to parameterised SQL for SQLite.

A condition maps keys of the payload to what they must be; all must hold::

    {"label": "cat"}                                  # equals
    {"year": {"$gte": 2020, "$lt": 2024}}             # $gt $gte $lt $lte, numbers or strings
    {"label": {"$in": ["cat", "dog"]}}                # also $nin
    {"label": {"$ne": "cat"}}                         # true where the key is absent, too
    {"tags": {"$contains": "beach"}}                  # a list that holds the value
    {"gps": {"$exists": True}}                        # the key is there, be it null
    {"camera.maker": "Leica"}                         # a dot goes into a nested object
    {"$or": [{"label": "cat"}, {"year": 2020}]}       # also $and, $not

Values compare by JSON type: `True` is not `1`, `1` is `1.0`, `"1"` is neither, and `None` equals
only a null that is there. Order compares numbers with numbers and strings with strings (by code
point). Keys and values travel as SQL parameters only, so no condition can alter a statement.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from h2q.errors import InvalidInputError

__all__ = ["Condition", "compile_where"]

Scalar: TypeAlias = str | int | float | bool | None
_ORDER: Final = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_MOST_NESTED: Final = 20


class Condition(NamedTuple):
    """SQL that is 1 or 0 for every row, and its parameters."""

    sql: str
    parameters: tuple[str | int | float, ...]


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
    return _compile(where, column, 0)


def _compile(where: object, column: str, depth: int) -> Condition:
    if not isinstance(where, Mapping):
        raise InvalidInputError(f"a condition is a dict such as {{'label': 'cat'}}, got {where!r}")
    if depth > _MOST_NESTED:
        raise InvalidInputError(f"the condition is nested more than {_MOST_NESTED} deep")
    parts: list[Condition] = []
    for key, wanted in where.items():
        if not isinstance(key, str):
            raise InvalidInputError(f"the keys of a condition are str, got {key!r}")
        if key in ("$and", "$or"):
            if not isinstance(wanted, Sequence) or isinstance(wanted, str):
                raise InvalidInputError(f"{key} takes a list of conditions, got {wanted!r}")
            inner = [_compile(each, column, depth + 1) for each in wanted]
            parts.append(_join(inner, key[1:].upper(), empty="1" if key == "$and" else "0"))
        elif key == "$not":
            parts.append(_negate(_compile(wanted, column, depth + 1)))
        elif key.startswith("$"):
            raise InvalidInputError(
                f"unknown {key!r} in a condition; outside a key there are $and, $or and $not"
            )
        else:
            parts.append(_on_key(key, wanted, column))
    return _join(parts, "AND", empty="1")


def _on_key(key: str, wanted: object, column: str) -> Condition:
    path = _json_path(key)
    field = _Value(f"json_extract({column}, ?)", f"json_type({column}, ?)", (path,))
    if not isinstance(wanted, Mapping):
        return _equals(field, wanted)
    parts = []
    for operator, operand in wanted.items():
        if operator == "$contains":
            parts.append(_contains(column, path, operand))
        elif operator in _OPERATORS:
            parts.append(_OPERATORS[operator](field, operand))
        else:
            known = ", ".join([*_OPERATORS, "$contains"])
            raise InvalidInputError(f"unknown operator {operator!r} for {key!r}; there are {known}")
    if not parts:
        raise InvalidInputError(f"the condition on {key!r} is empty; give a value or an operator")
    return _join(parts, "AND", empty="1")


def _equals(field: _Value, wanted: object) -> Condition:
    value = _scalar(wanted)
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


def _ordered(operator: str) -> Callable[[_Value, object], Condition]:
    def compile_order(field: _Value, wanted: object) -> Condition:
        value = _scalar(wanted)
        if value is None or isinstance(value, bool):
            raise InvalidInputError(f"only numbers and strings have an order, got {wanted!r}")
        return _compare(field, operator, value)

    return compile_order


def _in(field: _Value, wanted: object) -> Condition:
    if not isinstance(wanted, list | tuple | set | frozenset):
        raise InvalidInputError(f"$in and $nin take a list of values, got {wanted!r}")
    values = [_scalar(value) for value in wanted]
    texts = [v for v in values if isinstance(v, str)]
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


def _exists(field: _Value, wanted: object) -> Condition:
    if not isinstance(wanted, bool):
        raise InvalidInputError(f"$exists takes True or False, got {wanted!r}")
    return Condition(f"{field.kind} IS {'NOT ' if wanted else ''}NULL", field.parameters)


def _contains(column: str, path: str, wanted: object) -> Condition:
    element = _equals(_Value("json_each.value", "json_each.type", ()), wanted)
    return Condition(
        f"(json_type({column}, ?) IS 'array' AND EXISTS "  # noqa: S608
        f"(SELECT 1 FROM json_each({column}, ?) WHERE {element.sql}))",
        (path, path, *element.parameters),
    )


_OPERATORS: Final[dict[str, Callable[[_Value, object], Condition]]] = {
    "$eq": _equals,
    "$ne": lambda field, wanted: _negate(_equals(field, wanted)),
    "$in": _in,
    "$nin": lambda field, wanted: _negate(_in(field, wanted)),
    "$exists": _exists,
    **{name: _ordered(sign) for name, sign in _ORDER.items()},
}


def _join(parts: Sequence[Condition], word: str, empty: str) -> Condition:
    if not parts:
        return Condition(empty, ())
    sql = f" {word} ".join(part.sql for part in parts)
    return Condition(f"({sql})", tuple(p for part in parts for p in part.parameters))


def _negate(condition: Condition) -> Condition:
    return Condition(f"NOT ({condition.sql})", condition.parameters)


def _json_path(key: str) -> str:
    """`camera.maker` as SQLite's path `$."camera"."maker"`."""
    parts = key.split(".")
    if '"' in key or "\\" in key or not all(parts):
        raise InvalidInputError(
            f"the key {key!r} cannot be used in a condition: keys are joined by single dots and "
            'hold no " and no backslash'
        )
    return "$" + "".join(f'."{part}"' for part in parts)


def _scalar(value: object) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInputError(f"a condition cannot compare with {value}")
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        raise InvalidInputError(f"a condition cannot compare with {value}: it exceeds 64 bits")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise InvalidInputError(
        f"a condition compares with str, numbers, bool or None, got {value!r} "
        f"({type(value).__name__})"
    )
