r"""Payloads as `jsonb`, in which they are searched, without a loss to what is given back.

`jsonb` refuses a NUL in a string and keeps numbers as decimal digits: 1e300 would come back as an
int of 301 digits, and -0.0 as 0.0. A payload with such a value is kept as text besides, and given
back from that. In its `jsonb`

- NUL and U+0001 are written as U+0001 followed by U+0001 or U+0002, which keeps the order of
  strings;
- a float of 2**53 or more is the int it is equal to. Below, the shortest digits of a float compare
  with ints and other floats as the float itself does.

Values and keys of a condition are written in the same way.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

_ODD: Final = re.compile(r"\\u000[01]|\d[eE]\+|-0\.0(?![0-9])")
_EXACT_INTS: Final = 2.0**53
_ENCODER: Final = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def to_columns(text: str) -> tuple[bytes, bytes | None]:
    """Return the `jsonb` of a payload's JSON text, and that text where it must be kept, too."""
    data = text.encode()
    if _ODD.search(text) is None:
        return data, None
    return _ENCODER.encode(_searchable(json.loads(text))).encode(), data


def to_jsonb(value: Any) -> str:
    """Return a value of a condition as the JSON it is compared with."""
    return _ENCODER.encode(_searchable(value))


def to_key(key: str) -> str:
    """Return a key, or a string, as it is written in `jsonb`."""
    if "\0" in key or "\1" in key:
        return key.replace("\1", "\1\2").replace("\0", "\1\1")
    return key


def _searchable(value: Any) -> Any:
    if isinstance(value, str):
        return to_key(value)
    if isinstance(value, float):
        return int(value) if abs(value) >= _EXACT_INTS else value
    if isinstance(value, list):
        return [_searchable(each) for each in value]
    if isinstance(value, dict):
        return {to_key(key): _searchable(each) for key, each in value.items()}
    return value
