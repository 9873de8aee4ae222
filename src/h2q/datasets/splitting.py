"""Seeded, stratified splits; and completing a split that a file gives only in part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q._numbers import whole_number
from h2q._typing import RandomState
from h2q.datasets.items import SPLITS
from h2q.errors import InvalidInputError

#: Shares of each class where a data set brings no split of its own.
FRACTIONS: Mapping[str, float] = {"train": 0.5, "validation": 0.1, "query": 0.1, "database": 0.3}
#: What other people call the splits.
ALIASES: Mapping[str, str] = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "test": "query",
    "queries": "query",
    "db": "database",
    "gallery": "database",
    "retrieval": "database",
    "index": "database",
}
#: A class of few items fills these first.
_PRIORITY = ("train", "database", "query", "validation")

Indices = dict[str, NDArray[np.intp]]


def strata(labels: NDArray[Any]) -> NDArray[np.intp]:
    """Group of each item: its class, or, with several labels, the rarest of its labels."""
    if labels.ndim == 1:
        return np.asarray(labels, dtype=np.intp)
    frequency = labels.sum(axis=0, dtype=np.int64)
    rarest_first = np.argsort(frequency, kind="stable")
    groups: NDArray[np.intp] = rarest_first[np.argmax(labels[:, rarest_first], axis=1)]
    groups[~labels.any(axis=1)] = labels.shape[1]
    return groups


def stratified_split(
    labels: NDArray[Any],
    *,
    fractions: Mapping[str, float] = FRACTIONS,
    random_state: RandomState = 0,
) -> Indices:
    """Split every class by the same fractions.

    Parameters
    ----------
    labels : ndarray, shape (n,) or (n, c)
        Classes or multi-hot labels.
    fractions : mapping of str to float
        Share of each split; positive, summing to 1.
    random_state : int, Generator, RandomState or None
        Seed.

    Returns
    -------
    dict of str to ndarray of intp
        Ascending positions of each split. Shares are met within one item a class; a class of
        fewer than four items fills train, then database, then query.
    """
    unknown = set(fractions) - set(SPLITS)
    if unknown or any(f < 0 for f in fractions.values()):
        raise InvalidInputError(f"fractions must be >= 0 for splits among {SPLITS}: {fractions}")
    if abs(sum(fractions.values()) - 1) > 1e-6:
        raise InvalidInputError(f"fractions must sum to 1, not {sum(fractions.values()):g}")
    rng = _generator(random_state)
    names = [name for name in _PRIORITY if fractions.get(name, 0) > 0]
    parts: dict[str, list[NDArray[np.intp]]] = {name: [] for name in SPLITS}
    for group in _members(strata(labels)):
        members = rng.permutation(group)
        counts = _apportion(len(members), [fractions[name] for name in names])
        for name, part in zip(names, np.split(members, np.cumsum(counts)[:-1]), strict=True):
            parts[name].append(part)
    return {
        name: np.sort(np.concatenate(part)) if part else np.empty(0, dtype=np.intp)
        for name, part in parts.items()
    }


def complete_split(
    given: Sequence[str] | NDArray[np.str_],
    labels: NDArray[Any],
    *,
    validation: float = 0.1,
    random_state: RandomState = 0,
) -> Indices:
    """Positions of each split where the data set names one for each item.

    Parameters
    ----------
    given : sequence of str
        Split of each item: train, validation, query, database, or an alias (test, val, ...).
    labels : ndarray, shape (n,) or (n, c)
        For the stratification of what is held out.
    validation : float
        Share of train held out where `given` names no validation; 0 holds out nothing.
    random_state : int, Generator, RandomState or None
        Seed of what is held out.

    Returns
    -------
    dict of str to ndarray of intp
        Ascending positions. Where no item is named database, the training and validation items
        are the database.

    Raises
    ------
    InvalidInputError
        For an unknown name, or without train or query items.
    """
    if not 0 <= validation < 1:
        raise InvalidInputError(f"validation must be a share in [0, 1), got {validation}")
    named = np.char.lower(np.char.strip(np.asarray(given, dtype=np.str_)))
    for alias, name in ALIASES.items():
        named = np.where(named == alias, name, named)
    unknown = sorted(set(named.tolist()) - set(SPLITS))
    if unknown:
        raise InvalidInputError(
            f"unknown split {unknown[0]!r}; expected one of {', '.join([*SPLITS, *ALIASES])}"
        )
    indices: Indices = {name: np.flatnonzero(named == name) for name in SPLITS}
    for name in ("train", "query"):
        if len(indices[name]) == 0:
            raise InvalidInputError(f"the split names no {name} items")
    if len(indices["database"]) == 0:
        indices["database"] = np.sort(np.concatenate([indices["train"], indices["validation"]]))
    if len(indices["validation"]) == 0 and validation > 0:
        train = indices["train"]
        held = stratified_split(
            labels[train],
            fractions={"train": 1 - validation, "validation": validation},
            random_state=random_state,
        )
        indices["train"], indices["validation"] = train[held["train"]], train[held["validation"]]
    return indices


def split_by_count(n: int, counts: Mapping[str, int], *, random_state: RandomState = 0) -> Indices:
    """Draw `counts` items of each split at random; what is left is the database.

    Raises
    ------
    InvalidInputError
        If nothing would be left.
    """
    order = _generator(random_state).permutation(n)
    return _take_counts([order], counts, f"{n} items")


def split_by_class_count(
    labels: NDArray[Any], counts: Mapping[str, int], *, random_state: RandomState = 0
) -> Indices:
    """Draw `counts` items of each split from every class; what is left is the database.

    Raises
    ------
    InvalidInputError
        If a class is too small.
    """
    rng = _generator(random_state)
    members = [rng.permutation(group) for group in _members(labels)]
    return _take_counts(members, counts, "a class")


def _members(groups: NDArray[Any]) -> list[NDArray[np.intp]]:
    """Positions of the items of each group, ascending; in one pass, however many groups."""
    if len(groups) == 0:
        return []
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    return np.split(order, starts)


def _take_counts(groups: list[NDArray[np.intp]], counts: Mapping[str, int], what: str) -> Indices:
    needed = sum(counts.values())
    smallest = min(len(group) for group in groups)
    if smallest <= needed:
        raise InvalidInputError(
            f"{what} has {smallest} items, but the split takes {needed} ("
            + ", ".join(f"{name} {count}" for name, count in counts.items())
            + ") and the rest is the database"
        )
    parts: Indices = {}
    start = 0
    for name in SPLITS[:-1]:
        stop = start + counts.get(name, 0)
        parts[name] = np.sort(np.concatenate([group[start:stop] for group in groups]))
        start = stop
    parts["database"] = np.sort(np.concatenate([group[start:] for group in groups]))
    return parts


def _apportion(n: int, shares: list[float]) -> list[int]:
    """Whole numbers near `n * shares` that sum to n; ties and small n favour the earlier share."""
    if n < len(shares):
        return [1] * n + [0] * (len(shares) - n)
    exact = np.asarray(shares) * n
    counts = np.maximum(np.floor(exact + 1e-9).astype(np.int64), 1)
    while counts.sum() > n:
        counts[int(np.argmax(np.where(counts > 1, counts - exact, -np.inf)))] -= 1
    while counts.sum() < n:
        counts[int(np.argmax(exact - counts))] += 1
    return [int(c) for c in counts]


def _generator(random_state: RandomState) -> np.random.Generator:
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31))
    if random_state is not None and not isinstance(random_state, np.random.Generator):
        random_state = whole_number(random_state, "random_state", least=0)
    return np.random.default_rng(random_state)
