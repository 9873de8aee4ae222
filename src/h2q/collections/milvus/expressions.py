"""Conditions on payloads as expressions of Milvus, as far as it means by them what we do.

What a server does not answer exactly is decided here: `Compiled.expression` then holds for more
items than the condition does, and `Compiled.holds` tells which. A server is not asked about null
and `$exists` (versions differ), numbers in lists, integers beyond 2**53, which it compares as
floats, and keys that are no plain words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from h2q.collections.conditions import (
    AnyOf,
    Compares,
    Equals,
    Every,
    Exists,
    Node,
    Not,
    OneOf,
    count_tests,
    holds,
)
from h2q.collections.values import Scalar

_SIGNS: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
#: A number alone would be the index of a list; other letters are not found at all.
_WORD: Final = re.compile(r"(?![0-9.]+$)[A-Za-z0-9_ .]+")
_EXACT_NUMBERS: Final = 2**53
#: A server takes many seconds over longer expressions.
_MOST_TESTS: Final = 100
NOTHING: Final = "seq < 0"


@dataclass(frozen=True)
class Compiled:
    """A condition, as a server and as this side checks it.

    Attributes
    ----------
    expression : str
        Holds wherever the condition does; empty: always.
    exact : bool
        Whether it holds nowhere else.
    """

    expression: str
    exact: bool
    node: Node

    def holds(self, payload: Mapping[str, Any] | None) -> bool:
        """Whether a payload meets the condition."""
        return holds(self.node, payload)


class _Part(NamedTuple):
    """An expression, None: true everywhere; and whether it is the condition exactly."""

    text: str | None
    exact: bool


_UNKNOWN: Final = _Part(None, False)


def compile_node(condition: Node | None, *, negate: bool) -> Compiled:
    """Compile a condition.

    Parameters
    ----------
    condition : Node or None
        None holds everywhere.
    negate : bool
        Whether `not` of the server turns every false into true, also where a key is absent.
    """
    node = Every(()) if condition is None else condition
    part = _compile(node, negate) if count_tests(node) <= _MOST_TESTS else _UNKNOWN
    return Compiled(part.text or "", part.exact, node)


def _compile(node: Node, negate: bool) -> _Part:
    if isinstance(node, Every):
        parts = [_compile(each, negate) for each in node.parts]
        texts = [part.text for part in parts if part.text is not None]
        return _Part(_joined(texts, "and"), all(part.exact for part in parts))
    if isinstance(node, AnyOf):
        return _any([_compile(each, negate) for each in node.parts])
    if isinstance(node, Not):
        inner = _compile(node.part, negate)
        if not inner.exact or (inner.text is not None and not negate):
            return _UNKNOWN
        return _Part(NOTHING if inner.text is None else f"not ({inner.text})", True)
    if isinstance(node, Exists) or not all(_WORD.fullmatch(part) for part in node.path):
        return _UNKNOWN
    field = "payload" + "".join(f'["{part}"]' for part in node.path)
    if isinstance(node, OneOf):
        return _one_of(field, node.values)
    value = _literal(node.value)
    if value is None:
        return _UNKNOWN
    if isinstance(node, Equals):
        return _Part(f"{field} == {value}", True)
    if isinstance(node, Compares):
        return _Part(f"{field} {_SIGNS[node.order]} {value}", True)
    return _Part(f"json_contains({field}, {value})", True) if value[0] == '"' else _UNKNOWN


def _any(parts: list[_Part]) -> _Part:
    if any(part.text is None for part in parts):
        return _Part(None, any(part.text is None and part.exact for part in parts))
    texts = [part.text for part in parts if part.text is not None]
    return _Part(_joined(texts, "or") or NOTHING, all(part.exact for part in parts))


def _one_of(field: str, values: tuple[Scalar, ...]) -> _Part:
    """Compile a list of scalars, a list for each type: a server's lists have one."""
    literals = [_literal(value) for value in values]
    lists: dict[type, list[str]] = {}
    for value, literal in zip(values, literals, strict=True):
        if literal is None:
            return _UNKNOWN
        lists.setdefault(type(value), []).append(literal)
    return _any([_Part(f"{field} in [{', '.join(each)}]", True) for each in lists.values()])


def _literal(value: Scalar) -> str | None:
    """Write a scalar into an expression; None where a server would not compare exactly."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return None
        return json.dumps(value, ensure_ascii=False)
    return repr(value) if abs(value) < _EXACT_NUMBERS else None


def _joined(texts: list[str], word: str) -> str | None:
    if not texts:
        return None
    return texts[0] if len(texts) == 1 else f" {word} ".join(f"({text})" for text in texts)
