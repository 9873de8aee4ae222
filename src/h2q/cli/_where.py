"""`--where`: conditions on the payload, as short text or as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import typer

from h2q.cli import _console

_OPERATORS: Final = {"=": "$in", "!=": "$nin", ">=": "$gte", "<=": "$lte", ">": "$gt", "<": "$lt"}
_SHORT: Final = re.compile(r"^\s*([^=!<>]+?)\s*(!=|>=|<=|=|>|<)(.*)$", re.DOTALL)


def parse_where(conditions: Sequence[str]) -> dict[str, Any] | None:
    """Read conditions such as "label=cat", "year>=2020" or '{"label": {"$in": ["cat"]}}'.

    All must hold. A value that reads as a number, true or false matches both as such and as text.

    Raises
    ------
    typer.BadParameter
        If a condition cannot be read.
    """
    parsed = [_parse(text) for text in conditions]
    if not parsed:
        return None
    return parsed[0] if len(parsed) == 1 else {"$and": parsed}


def hint_fields(collection: Any, where: dict[str, Any] | None) -> None:
    """Say why a condition is met by nothing, where its fields or values are odd."""
    if where is not None:
        from h2q.collections.fields import unmet

        hint = unmet(collection, where)
        if hint:
            _console.warn(hint)


def _parse(text: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        try:
            condition: dict[str, Any] = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise typer.BadParameter(f"{text!r} is not JSON: {error}") from error
        return condition
    match = _SHORT.match(text)
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is not a condition; write key=value, key!=value, key>=value or JSON"
        )
    key, operator, value = match.groups()
    if operator not in ("=", "!=") and not value.strip():
        raise typer.BadParameter(f"{text!r} compares with nothing; write {key}{operator}VALUE")
    readings = _readings(value)
    if operator in ("=", "!="):
        return {key: {_OPERATORS[operator]: readings}}
    # 2024 is a number, and the beginning of a date: taken>=2024.
    either = [{key: {_OPERATORS[operator]: reading}} for reading in reversed(readings)]
    return either[0] if len(either) == 1 else {"$or": either}


def _readings(value: str) -> list[Any]:
    """Return the value as text and, where it reads as one, as a number or a truth value, last."""
    try:
        other = json.loads(value)
    except (json.JSONDecodeError, RecursionError):
        return [value]
    return [value, other] if isinstance(other, int | float) else [value]
