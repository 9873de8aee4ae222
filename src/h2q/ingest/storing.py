"""What was coded into a collection: checked, counted and stored in one place, whoever coded it."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from h2q._typing import CodeArray
from h2q.collections.base import Collection, Id
from h2q.errors import CompatibilityError, InvalidInputError
from h2q.ingest.pool import do_units
from h2q.ingest.report import IndexReport, OnProgress
from h2q.ingest.units import Result, Unit, in_order, total_size
from h2q.ingest.workers import Task


def check_bits(collection: Collection, n_bits: int | None, what: str) -> None:
    """Raise `CompatibilityError` unless codes are as long as the collection's.

    Parameters
    ----------
    collection : Collection
    n_bits : int or None
        Length of the codes that are to be stored.
    what : str
        What makes or holds them, for the message: "the quantizer makes".
    """
    if n_bits != collection.n_bits:
        raise CompatibilityError(
            f"{what} codes of {n_bits} bits, the collection {collection.uri} holds codes of "
            f"{collection.n_bits}; use what it was made with"
        )


def check_width(quantizer: Any, width: int | None, rows: str, whose: str = "the quantizer") -> None:
    """Raise `InvalidInputError` unless rows are as wide as those a quantizer was fitted on.

    Parameters
    ----------
    quantizer : fitted quantizer or None
    width : int or None
        Columns of the rows; None for codes.
    rows : str
        What holds them, for the message.
    whose : str
        What the message calls the quantizer.
    """
    fitted_on = getattr(quantizer, "n_features_in_", width)
    if width not in (None, fitted_on):
        raise InvalidInputError(
            f"{rows} holds rows of {width} columns, and {whose} was fitted on rows of {fitted_on}; "
            "give rows of the network it was fitted on, or fit another (h2q fit)"
        )


class Repeats:
    """Counts the ids of a run that came before, in eight bytes an id."""

    def __init__(self) -> None:
        self._marks = array("q")

    def add(self, ids: Sequence[Id]) -> None:
        """Take in more ids."""
        self._marks.extend(hash(repr(each)) for each in ids)  # of ints alone, -1 and -2 are alike

    def count(self) -> int:
        """How many of them had come before."""
        return len(self._marks) - len(np.unique(np.frombuffer(self._marks, dtype=np.int64)))


def store(
    collection: Collection,
    report: IndexReport,
    ids: Sequence[Id],
    codes: CodeArray,
    payloads: Sequence[dict[str, Any] | None] | None = None,
    rows: Any = None,
    repeats: Repeats | None = None,
) -> None:
    """Add items and count them: an id that was held is an update, and one that comes twice, too.

    Of rows of one id the last stands, as `Collection.add` has it.
    """
    if not ids:
        return
    each = list(dict.fromkeys(ids))
    if repeats is not None:
        repeats.add(ids)
    held = sum(item is not None for item in collection.get(each))
    collection.add(ids, codes, payloads, **({} if rows is None else {"embeddings": rows}))
    report.added += len(each) - held
    report.updated += len(ids) - len(each) + held


def store_units(
    units: Sequence[Unit],
    task: Task,
    collection: Collection,
    report: IndexReport,
    *,
    ray: str | None = None,
    workers: int | None = None,
    on_progress: OnProgress,
    stored: Callable[[Unit, Result], None] = lambda unit, result: None,
) -> IndexReport:
    """Have units of rows done, here or on a cluster, and store each when it comes, in their order.

    Parameters
    ----------
    units, task, ray, workers
        As `do_units` takes them.
    collection : Collection
    report : IndexReport
        Counted on.
    on_progress : callable
        Told how many items of how many are done.
    stored : callable
        Told each unit and its result when they are durable.
    """
    in_turn, repeats = iter(units), Repeats()

    def put(result: Result) -> None:
        if result.ids:
            rows = result.arrays["rows"] if task.want_rows else None
            store(
                collection,
                report,
                result.ids,
                result.arrays["codes"],
                result.payloads,
                rows,
                repeats,
            )
        report.skipped.extend(result.skipped)
        report.unlabelled += result.unlabelled
        stored(next(in_turn), result)  # only now: what is recorded is durable

    put_units(units, task, put, ray=ray, workers=workers, on_progress=on_progress)
    report.repeated = repeats.count()
    return report


def put_units(
    units: Sequence[Unit],
    task: Task,
    put: Callable[[Result], None],
    *,
    ray: str | None,
    workers: int | None,
    on_progress: OnProgress,
) -> None:
    """Have units done, here or on a cluster, and `put` each result when it comes, in their order.

    Raises
    ------
    InvalidInputError
        If a unit could not be done.
    """
    done, total = 0, total_size(units)
    on_progress(done, total)
    for unit, result in in_order(do_units(units, task, ray=ray, workers=workers), units):
        if result.error is not None:
            raise InvalidInputError(result.error)
        put(result)
        done += unit.size
        on_progress(done, total)
