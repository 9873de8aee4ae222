"""How much of an item's real row is kept beside its code; `h2q.ranks.records` has the bytes."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from h2q.errors import InvalidInputError

#: What is kept of an item's real row beside its code: nothing, its scale (2 bytes), or all of it
#: in 1 or 2 bytes a bit.
Keep: TypeAlias = Literal["codes", "scale", "int8", "float16"]
KEEPS: Final[tuple[Keep, ...]] = get_args(Keep)
#: What a collection must keep for its real rows to be there again.
KEEPS_OF_ROWS: Final[tuple[Keep, ...]] = ("int8", "float16")


def check_keep(keep: str) -> Keep:
    """Return `keep` if it is one of the ways to keep rows.

    Raises
    ------
    InvalidInputError
        If it is none of them.
    """
    for known in KEEPS:
        if keep == known:
            return known
    raise InvalidInputError(f"keep must be one of {', '.join(KEEPS)}, got {keep!r}")
