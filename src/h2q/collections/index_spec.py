"""Which index finds the items of a collection: one statement for every engine, and what each can.

`index=` means the same wherever a collection lives:

- for a new collection: the index it has, stated in it;
- for one that exists: the index this object finds items by. Where the collection has no index yet,
  or the engine can build it anew, it is made and stated (`mode="a"`); otherwise it is an error;
- ``"flat"``: this object scans all items. Nothing is made, stated or removed;
- left out: as the collection states.

An option left out has one default for every engine, given below.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Self, TypeAlias

from h2q._foreign import parse_json, shortened
from h2q.collections.inputs import as_count
from h2q.errors import CompatibilityError, InvalidInputError

#: How items are found: by a scan of all ("flat", exact), or by an index.
IndexKind: TypeAlias = Literal["flat", "ivf", "ivf_asymmetric", "hnsw", "mih"]
#: Options of each kind: those it is built with, and those a search uses.
_BUILT_WITH: Final[dict[IndexKind, tuple[str, ...]]] = {
    "flat": (),
    "ivf": ("nlist",),
    "ivf_asymmetric": ("nlist",),
    "hnsw": ("m", "ef_construction"),
    "mih": ("n_maps",),
}
_SEARCHED_WITH: Final[dict[IndexKind, tuple[str, ...]]] = {
    "flat": (),
    "ivf": ("nprobe",),
    "ivf_asymmetric": ("nprobe",),
    "hnsw": ("ef_search",),
    "mih": (),
}
#: Where the caller does not say. `nlist`, `nprobe` and `n_maps` fit the number of items.
DEFAULTS: Final = {"m": 24, "ef_construction": 80, "ef_search": 100}
_MOST: Final = 2**31 - 1


@dataclass(frozen=True)
class EngineIndexes:
    """What an engine can do: a row of the table of capabilities.

    Attributes
    ----------
    kinds : tuple of str
    adds : bool
        Whether a collection that has none can get an index later.
    rebuilds : bool
        Whether one that has an index can get another.
    scans : bool
        Whether an object can scan all (``index="flat"``) where the collection has an index.
    ranges : dict
        Least and largest value of an option.
    """

    kinds: tuple[IndexKind, ...] = ("flat",)
    adds: bool = False
    rebuilds: bool = False
    scans: bool = False
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)


#: By the name of the engine.
CAPABILITIES: Final[dict[str, EngineIndexes]] = {
    "embedded": EngineIndexes(
        ("flat", "ivf", "ivf_asymmetric", "hnsw", "mih"), adds=True, rebuilds=True, scans=True
    ),
    "pgvector": EngineIndexes(
        ("flat", "hnsw"),
        adds=True,
        scans=True,
        ranges={"m": (2, 100), "ef_construction": (4, 1000), "ef_search": (1, 1000)},
    ),
    "milvus": EngineIndexes(("flat", "ivf", "hnsw")),
    # Whatever the collection behind the server has.
    "http": EngineIndexes(("flat", "ivf", "ivf_asymmetric", "hnsw", "mih")),
}


@dataclass(frozen=True)
class IndexSpec:
    """The kind of index and the options given; `option` has the defaults of the others."""

    kind: IndexKind = "flat"
    options: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in _BUILT_WITH:
            raise InvalidInputError(
                f"index must be one of {', '.join(_BUILT_WITH)}, got {self.kind!r}"
            )
        known = _BUILT_WITH[self.kind] + _SEARCHED_WITH[self.kind]
        checked = {}
        for name, value in self.options.items():
            if name not in known:
                has = f"the options {', '.join(known)}" if known else "no options"
                raise InvalidInputError(
                    f"index_options: {name!r} is unknown; index={self.kind!r} has {has}"
                )
            checked[name] = as_count(value, f"index_options: {name}", least=1, most=_MOST)
        object.__setattr__(self, "options", checked)

    @property
    def built_with(self) -> dict[str, int]:
        """The options given that need another index where they change."""
        return {name: self.options[name] for name in _BUILT_WITH[self.kind] if name in self.options}

    def option(self, name: str) -> int:
        """Value of an option that has a default."""
        return self.options.get(name, DEFAULTS[name])

    def checked_for(self, engine: str) -> Self:
        """Return it, if the engine has such an index.

        Raises
        ------
        InvalidInputError
        """
        able = CAPABILITIES.get(engine, EngineIndexes())
        if self.kind not in able.kinds:
            raise InvalidInputError(
                f"a collection of the engine {engine} has index="
                f"{' or '.join(map(repr, able.kinds))}, got {self.kind!r}"
            )
        for name, value in self.options.items():
            least, most = able.ranges.get(name, (1, _MOST))
            if not least <= value <= most:
                raise InvalidInputError(
                    f"{name} must be a whole number from {least} to {most}, got {value!r}"
                )
        return self

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
            stated = parse_json(text, name)
            return cls(stated["kind"], {name: int(n) for name, n in stated["options"].items()})
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise CompatibilityError(
                f"{name}: its index is unknown to this h2q ({shortened(text)}); upgrade h2q, "
                "or open it with index='flat'"
            ) from error


def new_index(engine: str, kind: IndexKind | None, options: Mapping[str, int] | None) -> IndexSpec:
    """Return the index of a new collection.

    Raises
    ------
    InvalidInputError
        If the engine has no such index or option.
    """
    if options and kind is None:
        raise InvalidInputError("index_options belong to an index; give index=, too")
    return IndexSpec(kind or "flat", options or {}).checked_for(engine)


class Reopened:
    """The index an object searches by, and what is to be stated of the collection.

    Attributes
    ----------
    used : IndexSpec
    stated : IndexSpec
        What the collection has from now on.
    """

    def __init__(self, used: IndexSpec, stated: IndexSpec) -> None:
        self.used, self.stated = used, stated


def reopened_index(
    engine: str,
    where: object,
    stated: IndexSpec,
    kind: IndexKind | None,
    options: Mapping[str, int] | None,
    *,
    search_options_are_kept: bool = True,
) -> Reopened:
    """Return the index by which a collection that states one is to be searched.

    Parameters
    ----------
    engine : str
    where : object
        Names the collection in messages.
    stated : IndexSpec
        Of the collection.
    kind, options
        What the caller asked for.
    search_options_are_kept : bool
        Whether the collection states the options of searches, too.

    Raises
    ------
    InvalidInputError
        If the engine has no such index or option.
    CompatibilityError
        If the collection has another index and the engine cannot change it.
    """
    able = CAPABILITIES.get(engine, EngineIndexes())
    if kind == "flat" and stated.kind != "flat":
        IndexSpec("flat", options or {})
        if not able.scans:
            raise _other(where, stated, f"index={kind!r}")
        return Reopened(IndexSpec(), stated)
    if options and kind is None and stated.kind == "flat":
        raise InvalidInputError("index_options belong to an index; give index=, too")
    kept = stated.options if kind in (None, stated.kind) else {}
    wanted = IndexSpec(kind or stated.kind, {**kept, **(options or {})}).checked_for(engine)
    if wanted.kind != stated.kind and not (able.rebuilds or (able.adds and stated.kind == "flat")):
        raise _other(where, stated, f"index={kind!r}")
    if wanted.kind == stated.kind and not able.rebuilds:
        for name, value in wanted.built_with.items():
            has = stated.options.get(name, DEFAULTS.get(name, value))
            if value != has:
                raise CompatibilityError(
                    f"{where}: its index was built with {name}={has}, {name}={value} was asked "
                    "for; leave it out, or make another collection"
                )
    known = dict(wanted.options) if search_options_are_kept else wanted.built_with
    return Reopened(wanted, IndexSpec(wanted.kind, known))


def _other(where: object, stated: IndexSpec, asked: str) -> CompatibilityError:
    return CompatibilityError(
        f"{where}: the collection was made with index={stated.kind!r}, {asked} was asked for; "
        "leave index out, or make another collection"
    )
