"""Fields of the payloads: whether a condition fits them, for who finds nothing by it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from h2q.collections.base import Collection

#: Items whose payloads are looked at.
_LOOKED_AT: Final = 2000
#: Kinds of values that conditions compare.
_COMPARED: Final = {"text", "numbers", "truth values"}


def unmet(collection: Collection, where: Mapping[str, Any] | None) -> str:
    """Say why a condition may be met by nothing: fields that no item has, values of another kind.

    Payloads may differ from item to item, so this is a hint for an empty answer and no error.

    Parameters
    ----------
    collection : Collection
        Its first 2,000 items are looked at.
    where : mapping or None
        As `h2q.collections.filters` describes it.

    Returns
    -------
    str
        A sentence; "" where nothing is odd.
    """
    asked = list(dict.fromkeys(_keys(where or {})))
    if not asked:
        return ""
    known: dict[str, set[str]] = {}
    looked = 0
    for batch in collection.iterate(_LOOKED_AT):
        for payload in islice(batch.payloads, _LOOKED_AT):
            for key, value in (payload or {}).items():
                known.setdefault(key, set()).add(_kind(value))
            looked += 1
        break
    said = []
    for key in asked:
        # A dot may lead inside: of gps.latitude gps is the field.
        if key in known or key.split(".")[0] in known or not looked:
            continue
        some = "no item" if looked < _LOOKED_AT else f"none of the first {looked:,} items"
        close = difflib.get_close_matches(key, sorted(known), n=1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        said.append(f"{some} has a field {key!r}{meant}")
    if not said:
        return _unlike(where or {}, known)
    fields = f" (fields: {', '.join(sorted(known))})" if known else " (there are no payloads)"
    return "; ".join(said) + fields


def _unlike(where: Mapping[str, Any], known: Mapping[str, set[str]]) -> str:
    """Say which fields are compared with values of a kind that they never hold."""
    asked: dict[str, dict[str, Any]] = {}
    for key, value in _values(where):
        asked.setdefault(key, {}).setdefault(_kind(value), value)
    return "; ".join(
        f"the field {key!r} holds {' and '.join(sorted(known[key]))}, and is compared with "
        + " and ".join(f"{kind} ({value!r})" for kind, value in kinds.items())
        for key, kinds in asked.items()
        if key in known and known[key] <= _COMPARED and not known[key] & set(kinds)
    )


def _values(where: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each field and the single values that it is compared with."""
    for key, wanted in where.items():
        if key in ("$and", "$or") and isinstance(wanted, list | tuple):
            for each in wanted:
                yield from _values(each) if isinstance(each, Mapping) else ()
        elif not key.startswith("$"):
            for value in wanted.values() if isinstance(wanted, Mapping) else (wanted,):
                for each in value if isinstance(value, list | tuple) else (value,):
                    if _kind(each) in _COMPARED:
                        yield key, each


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "truth values"
    if isinstance(value, int | float):
        return "numbers"
    return "text" if isinstance(value, str) else "something else"


def _keys(where: Mapping[str, Any]) -> Iterator[str]:
    for key, wanted in where.items():
        if key in ("$and", "$or") and isinstance(wanted, list | tuple):
            for each in wanted:
                yield from _keys(each) if isinstance(each, Mapping) else ()
        elif key == "$not" and isinstance(wanted, Mapping):
            yield from _keys(wanted)
        elif not key.startswith("$"):
            yield key
