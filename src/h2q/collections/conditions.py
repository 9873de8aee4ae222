"""Conditions on payloads, checked and taken apart; each engine compiles the tree in its own way.

The language is described in `h2q.collections.filters`. A condition becomes a tree of `Every`,
`AnyOf`, `Not` and, as its leaves, `Test`: what one key must be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from h2q.collections.values import Scalar, is_plain, listed, plain_scalar
from h2q.errors import InvalidInputError

Order: TypeAlias = Literal["gt", "gte", "lt", "lte"]
_MOST_NESTED: Final = 20
#: Parts of a dotted key that are read in every way; longer ones with one run of them joined.
_MOST_SPLIT: Final = 5
_MOST_PARTS: Final = 40
#: Tests of a condition, dotted keys in all their readings: engines limit the parameters they take.
_MOST_TESTS: Final = 5000
_ABSENT: Final = object()


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
    node = _parse(where, 0)
    if count_tests(node) > _MOST_TESTS:
        raise InvalidInputError(
            f"the condition has more than {_MOST_TESTS} tests; use $in for a list of values"
        )
    return node


def count_tests(node: Node) -> int:
    """How many values or keys a condition looks at."""
    if isinstance(node, Every | AnyOf):
        return sum(count_tests(part) for part in node.parts)
    return count_tests(node.part) if isinstance(node, Not) else 1


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
            if not isinstance(wanted, Sequence) or isinstance(wanted, str | bytes):
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
    """Test a key: where it has dots, by any of the ways to read it.

    `a.b` is the key `b` of the object under `a`, or the key `a.b` itself. Every test asks for
    something that is there, so it holds if it holds for one of the readings, and `Not` is outside.
    """
    paths = _paths(key)
    if isinstance(wanted, Mapping):
        parts = [_on_operator(key, paths, *each) for each in wanted.items()]
        if not parts:
            raise InvalidInputError(
                f"the condition on {key!r} is empty; give a value or an operator"
            )
        return parts[0] if len(parts) == 1 else Every(tuple(parts))
    return _any_of(paths, lambda path: _equals(path, wanted))


def _on_operator(
    key: str, paths: Sequence[tuple[str, ...]], operator: object, operand: object
) -> Node:
    if operator not in _OPERATORS:
        known = ", ".join(map(str, _OPERATORS))
        raise InvalidInputError(f"unknown operator {operator!r} for {key!r}; there are {known}")
    test = _OPERATORS[operator]
    found = _any_of(paths, lambda path: test(path, operand))
    negates = operator in ("$ne", "$nin") or (
        operator == "$exists" and plain_scalar(operand) is False
    )
    return Not(found) if negates else found


def _any_of(paths: Sequence[tuple[str, ...]], test: Callable[[tuple[str, ...]], Node]) -> Node:
    tests = tuple(test(path) for path in paths)
    return tests[0] if len(tests) == 1 else AnyOf(tests)


def _equals(path: tuple[str, ...], wanted: object) -> Node:
    return Equals(path, _scalar(wanted))


def _one_of(path: tuple[str, ...], wanted: object) -> Node:
    if isinstance(wanted, AbstractSet):
        return OneOf(path, tuple(_scalar(value) for value in wanted))
    try:
        values = listed(wanted, "the values")
    except InvalidInputError as error:
        raise InvalidInputError(f"$in and $nin take a list of values: {error}") from error
    return OneOf(path, tuple(_scalar(value) for value in values))


def _contains(path: tuple[str, ...], wanted: object) -> Node:
    return Contains(path, _scalar(wanted))


def _exists(path: tuple[str, ...], wanted: object) -> Node:
    if not isinstance(plain_scalar(wanted), bool):
        raise InvalidInputError(f"$exists takes True or False, got {wanted!r}")
    return Exists(path)


def _compares(order: Order) -> _Test:
    def parse_order(path: tuple[str, ...], wanted: object) -> Node:
        value = _scalar(wanted)
        if value is None or isinstance(value, bool):
            raise InvalidInputError(f"only numbers and strings have an order, got {wanted!r}")
        return Compares(path, order, value)

    return parse_order


#: What each asks of a path; `_on_operator` negates those that say not.
_OPERATORS: Final[dict[object, _Test]] = {
    "$eq": _equals,
    "$ne": _equals,
    "$in": _one_of,
    "$nin": _one_of,
    "$exists": _exists,
    "$gt": _compares("gt"),
    "$gte": _compares("gte"),
    "$lt": _compares("lt"),
    "$lte": _compares("lte"),
    "$contains": _contains,
}


def _paths(key: str) -> list[tuple[str, ...]]:
    """`camera.maker` as ("camera", "maker") and ("camera.maker",)."""
    parts = tuple(key.split("."))
    if '"' in key or "\\" in key or not all(parts) or len(parts) > _MOST_PARTS:
        raise InvalidInputError(
            f"the key {key!r} cannot be used in a condition: keys are joined by single dots, at "
            f'most {_MOST_PARTS} of them, and hold no " and no backslash'
        )
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"the key {key!r} is not valid Unicode: {error}") from error
    if len(parts) <= _MOST_SPLIT:
        return _readings(parts)
    joined = {
        (*parts[:start], ".".join(parts[start:stop]), *parts[stop:])
        for start in range(len(parts))
        for stop in range(start + 1, len(parts) + 1)
    }
    return sorted(joined, key=len, reverse=True)


def _readings(parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    if len(parts) == 1:
        return [parts]
    after = _readings(parts[1:])
    return [(parts[0], *rest) for rest in after] + [
        (f"{parts[0]}.{rest[0]}", *rest[1:]) for rest in after
    ]


def _scalar(value: object) -> Scalar:
    plain: Scalar = plain_scalar(value)
    if not is_plain(plain):
        raise InvalidInputError(
            f"a condition compares with str, numbers, bool or None, got {value!r} "
            f"({type(value).__name__})"
        )
    if isinstance(plain, float) and not math.isfinite(plain):
        raise InvalidInputError(f"a condition cannot compare with {plain}")
    if isinstance(plain, int) and not isinstance(plain, bool) and not -(2**63) <= plain < 2**63:
        raise InvalidInputError(f"a condition cannot compare with {plain}: it exceeds 64 bits")
    if isinstance(plain, str):
        try:
            plain.encode()
        except UnicodeEncodeError as error:
            raise InvalidInputError(
                f"a condition cannot compare with {plain!r}: it is not valid Unicode ({error})"
            ) from error
    return plain


def holds(node: Node, payload: Mapping[str, Any] | None) -> bool:
    """Whether a payload meets a condition: what every engine must agree with.

    No payload meets what an empty one does.
    """
    if isinstance(node, Every):
        return all(holds(part, payload) for part in node.parts)
    if isinstance(node, AnyOf):
        return any(holds(part, payload) for part in node.parts)
    if isinstance(node, Not):
        return not holds(node.part, payload)
    value: Any = {} if payload is None else payload
    for key in node.path:
        value = value.get(key, _ABSENT) if isinstance(value, Mapping) else _ABSENT
    if isinstance(node, Exists):
        return value is not _ABSENT
    if isinstance(node, Contains):
        return isinstance(value, list) and any(_is_equal(each, node.value) for each in value)
    if isinstance(node, Equals):
        return _is_equal(value, node.value)
    if isinstance(node, OneOf):
        return any(_is_equal(value, each) for each in node.values)
    return _is_ordered(value, node)


def _is_equal(value: object, wanted: Scalar) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool) or value is None or wanted is None:
        return value is wanted
    return isinstance(value, str | int | float) and value == wanted


def _is_ordered(value: Any, node: Compares) -> bool:
    kind = str if isinstance(node.value, str) else int | float
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    wanted: Any = node.value
    if node.order in ("gt", "gte"):
        return bool(value > wanted or (node.order == "gte" and value == wanted))
    return bool(value < wanted or (node.order == "lte" and value == wanted))
