"""Conditions on payloads, checked and taken apart; each engine compiles the tree in its own way.

The language is described in `h2q.collections.filters`. A condition becomes a tree of `Every`,
`AnyOf`, `Not` and, as its leaves, `Test`: what one key must be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from h2q.errors import InvalidInputError

Scalar: TypeAlias = str | int | float | bool | None
Order: TypeAlias = Literal["gt", "gte", "lt", "lte"]
_MOST_NESTED: Final = 20


class Equals(NamedTuple):
    """The value under the path is this scalar, of the same JSON type."""

    path: tuple[str, ...]
    value: Scalar


class OneOf(NamedTuple):
    """The value under the path is one of these scalars."""

    path: tuple[str, ...]
    values: tuple[Scalar, ...]


class Compares(NamedTuple):
    """The value is of the same kind (number or string) and on this side of `value`."""

    path: tuple[str, ...]
    order: Order
    value: str | int | float


class Contains(NamedTuple):
    """The value under the path is a list with this scalar among its elements."""

    path: tuple[str, ...]
    value: Scalar


class Exists(NamedTuple):
    """There is a value under the path, be it null."""

    path: tuple[str, ...]


class Every(NamedTuple):
    """All of them hold; of none, true."""

    parts: tuple[Node, ...]


class AnyOf(NamedTuple):
    """At least one holds; of none, false."""

    parts: tuple[Node, ...]


class Not(NamedTuple):
    """It does not hold: also where the key is absent."""

    part: Node


Node: TypeAlias = Equals | OneOf | Compares | Contains | Exists | Every | AnyOf | Not
_Test: TypeAlias = Callable[[tuple[str, ...], object], Node]


def parse_where(where: Mapping[str, Any]) -> Node:
    """Check a condition and take it apart.

    Raises
    ------
    InvalidInputError
        If it is not of the forms of `h2q.collections.filters`; the message names the offending
        part.
    """
    return _parse(where, 0)


def _parse(where: object, depth: int) -> Node:
    if not isinstance(where, Mapping):
        raise InvalidInputError(f"a condition is a dict such as {{'label': 'cat'}}, got {where!r}")
    if depth > _MOST_NESTED:
        raise InvalidInputError(f"the condition is nested more than {_MOST_NESTED} deep")
    parts: list[Node] = []
    for key, wanted in where.items():
        if not isinstance(key, str):
            raise InvalidInputError(f"the keys of a condition are str, got {key!r}")
        if key in ("$and", "$or"):
            if not isinstance(wanted, Sequence) or isinstance(wanted, str):
                raise InvalidInputError(f"{key} takes a list of conditions, got {wanted!r}")
            inner = tuple(_parse(each, depth + 1) for each in wanted)
            parts.append(Every(inner) if key == "$and" else AnyOf(inner))
        elif key == "$not":
            parts.append(Not(_parse(wanted, depth + 1)))
        elif key.startswith("$"):
            raise InvalidInputError(
                f"unknown {key!r} in a condition; outside a key there are $and, $or and $not"
            )
        else:
            parts.append(_on_key(key, wanted))
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def _on_key(key: str, wanted: object) -> Node:
    path = _path(key)
    if not isinstance(wanted, Mapping):
        return _equals(path, wanted)
    parts = []
    for operator, operand in wanted.items():
        if operator not in _OPERATORS:
            known = ", ".join(map(str, _OPERATORS))
            raise InvalidInputError(f"unknown operator {operator!r} for {key!r}; there are {known}")
        parts.append(_OPERATORS[operator](path, operand))
    if not parts:
        raise InvalidInputError(f"the condition on {key!r} is empty; give a value or an operator")
    return parts[0] if len(parts) == 1 else Every(tuple(parts))


def _equals(path: tuple[str, ...], wanted: object) -> Node:
    return Equals(path, _scalar(wanted))


def _one_of(path: tuple[str, ...], wanted: object) -> Node:
    if not isinstance(wanted, list | tuple | set | frozenset):
        raise InvalidInputError(f"$in and $nin take a list of values, got {wanted!r}")
    return OneOf(path, tuple(_scalar(value) for value in wanted))


def _contains(path: tuple[str, ...], wanted: object) -> Node:
    return Contains(path, _scalar(wanted))


def _exists(path: tuple[str, ...], wanted: object) -> Node:
    if not isinstance(wanted, bool):
        raise InvalidInputError(f"$exists takes True or False, got {wanted!r}")
    return Exists(path) if wanted else Not(Exists(path))


def _compares(order: Order) -> _Test:
    def parse_order(path: tuple[str, ...], wanted: object) -> Node:
        value = _scalar(wanted)
        if value is None or isinstance(value, bool):
            raise InvalidInputError(f"only numbers and strings have an order, got {wanted!r}")
        return Compares(path, order, value)

    return parse_order


_OPERATORS: Final[dict[object, _Test]] = {
    "$eq": _equals,
    "$ne": lambda path, wanted: Not(_equals(path, wanted)),
    "$in": _one_of,
    "$nin": lambda path, wanted: Not(_one_of(path, wanted)),
    "$exists": _exists,
    "$gt": _compares("gt"),
    "$gte": _compares("gte"),
    "$lt": _compares("lt"),
    "$lte": _compares("lte"),
    "$contains": _contains,
}


def _path(key: str) -> tuple[str, ...]:
    """`camera.maker` as ("camera", "maker")."""
    parts = tuple(key.split("."))
    if '"' in key or "\\" in key or not all(parts):
        raise InvalidInputError(
            f"the key {key!r} cannot be used in a condition: keys are joined by single dots and "
            'hold no " and no backslash'
        )
    return parts


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
