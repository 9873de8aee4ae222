"""A condition that was checked, as JSON again: what `parse_where` reads to the same effect."""

from __future__ import annotations

from typing import Any

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
)


def where_of(node: Node) -> dict[str, Any]:
    """Return a condition as JSON.

    It is nested no deeper than what the node was made of, so that the server takes it. A dotted
    key stands for all its readings, so alternatives that are readings of one key become one test.

    Examples
    --------
    >>> from h2q.collections.conditions import parse_where
    >>> where_of(parse_where({"label": {"$in": {"cat"}}, "year": {"$gte": 2000, "$lt": 2010}}))
    {'label': {'$in': ['cat']}, 'year': {'$gte': 2000, '$lt': 2010}}
    """
    if isinstance(node, Every):
        return _merged([where_of(part) for part in node.parts])
    if isinstance(node, AnyOf):
        parts = [where_of(part) for part in node.parts]
        if parts and all(part == parts[0] for part in parts):
            return parts[0]
        return {"$or": parts}
    if isinstance(node, Not):
        return _negated(where_of(node.part))
    key = ".".join(node.path)
    if isinstance(node, Equals):
        return {key: {"$eq": node.value}}
    if isinstance(node, OneOf):
        return {key: {"$in": list(node.values)}}
    if isinstance(node, Compares):
        return {key: {f"${node.order}": node.value}}
    if isinstance(node, Contains):
        return {key: {"$contains": node.value}}
    assert isinstance(node, Exists)  # noqa: S101
    return {key: {"$exists": True}}


def _negated(where: dict[str, Any]) -> dict[str, Any]:
    """Return the opposite; of one test that has one, the test that says not: it nests no deeper."""
    if len(where) == 1:
        ((key, wanted),) = where.items()
        if not key.startswith("$") and len(wanted) == 1:
            ((operator, operand),) = wanted.items()
            if operator in ("$eq", "$in"):
                return {key: {"$ne" if operator == "$eq" else "$nin": operand}}
            if operator == "$exists":
                return {key: {"$exists": not operand}}
    return {"$not": where}


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Join conditions that all hold: in one object, unless two say different things of a key."""
    merged: dict[str, Any] = {}
    for part in parts:
        for key, wanted in part.items():
            held = merged.get(key)
            if held is None:
                merged[key] = wanted
            elif key.startswith("$") or not held.keys().isdisjoint(wanted):
                return {"$and": parts}
            else:
                merged[key] = {**held, **wanted}
    return merged
