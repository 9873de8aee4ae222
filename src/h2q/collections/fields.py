"""Fields of the payloads: whether those that a condition names are any, for who finds nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from h2q.collections.base import Collection

#: Items whose payloads are looked at.
_LOOKED_AT: Final = 2000


def unknown_fields(collection: Collection, where: Mapping[str, Any] | None) -> str:
    """Say which fields of a condition no item has, and what was perhaps meant.

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
    known: set[str] = set()
    looked = 0
    for batch in collection.iterate(_LOOKED_AT):
        for payload in islice(batch.payloads, _LOOKED_AT):
            known.update(payload or {})
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
        return ""
    fields = f" (fields: {', '.join(sorted(known))})" if known else " (there are no payloads)"
    return "; ".join(said) + fields


def _keys(where: Mapping[str, Any]) -> Iterator[str]:
    for key, wanted in where.items():
        if key in ("$and", "$or") and isinstance(wanted, list | tuple):
            for each in wanted:
                yield from _keys(each) if isinstance(each, Mapping) else ()
        elif key == "$not" and isinstance(wanted, Mapping):
            yield from _keys(wanted)
        elif not key.startswith("$"):
            yield key
