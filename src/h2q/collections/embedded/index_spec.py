"""Which index a collection has, with its options: stated when it is opened, kept in the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from h2q.collections.base import IndexKind
from h2q.collections.inputs import as_count
from h2q.errors import CompatibilityError, InvalidInputError

#: Options of each kind: those it is built with, and those a search uses.
_BUILT_WITH: Final[dict[IndexKind, tuple[str, ...]]] = {
    "flat": (),
    "ivf": ("nlist",),
    "hnsw": ("m", "ef_construction"),
    "mih": ("n_maps",),
}
_SEARCHED_WITH: Final[dict[IndexKind, tuple[str, ...]]] = {
    "flat": (),
    "ivf": ("nprobe",),
    "hnsw": ("ef_search",),
    "mih": (),
}


@dataclass(frozen=True)
class IndexSpec:
    """The kind of index and its options; an option left out has a default that fits the size."""

    kind: IndexKind = "flat"
    options: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in _BUILT_WITH:
            raise InvalidInputError(
                f"index must be one of {', '.join(_BUILT_WITH)}, got {self.kind!r}"
            )
        known = _BUILT_WITH[self.kind] + _SEARCHED_WITH[self.kind]
        for name, value in self.options.items():
            if name not in known:
                has = f"the options {', '.join(known)}" if known else "no options"
                raise InvalidInputError(
                    f"index_options: {name!r} is unknown; index={self.kind!r} has {has}"
                )
            as_count(value, f"index_options: {name}", least=1)

    @property
    def built_with(self) -> dict[str, int]:
        """The options that need another index where they change."""
        return {name: self.options[name] for name in _BUILT_WITH[self.kind] if name in self.options}

    def changed(self, kind: IndexKind | None, options: Mapping[str, int] | None) -> Self:
        """Return what is wanted where a caller asks for this kind or these options."""
        kept = self.options if kind in (None, self.kind) else {}
        return type(self)(kind or self.kind, {**kept, **(options or {})})

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps({"kind": self.kind, "options": dict(self.options)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None, name: object) -> Self:
        """Read what `to_json` wrote; "flat" where nothing was stated. `name`: of the collection.

        Raises
        ------
        CompatibilityError
            If a newer h2q wrote it, or it is damaged.
        """
        if text is None:
            return cls()
        try:
            stated = json.loads(text)
            return cls(stated["kind"], {name: int(n) for name, n in stated["options"].items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CompatibilityError(
                f"{name}: its index is unknown to this h2q ({text}); upgrade h2q, or open it "
                "with index='flat' and mode='a'"
            ) from error
