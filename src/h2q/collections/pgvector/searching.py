"""Searches in SQL: the nearest codes of each query, by a scan of all or by the index.

The statements of a batch are sent ahead, so the server works on the next query while the answer to
the last one is ranked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from psycopg.sql import SQL, Composed

from h2q._foreign import reading
from h2q._typing import CodeArray
from h2q.collections.inputs import Id
from h2q.collections.pgvector.bits import Bits, codes_of
from h2q.collections.pgvector.conditions import EVERYTHING, Condition
from h2q.collections.pgvector.connection import Connection, Link
from h2q.collections.pgvector.hnsw import set_up_search
from h2q.collections.pgvector.ids import from_text
from h2q.collections.pgvector.items import Table
from h2q.collections.pgvector.tables import REMEDY
from h2q.collections.shortlists import Asked, Shortlist
from h2q.errors import FormatError

#: Queries sent ahead.
_AHEAD: Final = 64
_Rows: TypeAlias = list[tuple[Any, ...]]


class Plan(NamedTuple):
    """How items are found.

    `by_index`: by the HNSW index, which looks at `ef_search` candidates. `ties`: in an exact
    search also all items as near as the farthest one found.
    """

    by_index: bool
    ef_search: int = 0
    ties: bool = False


def shortlists(
    link: Link,
    table: Table,
    asked: Asked,
    condition: Condition,
    plan: Plan,
    record_width: int,
) -> Iterator[Shortlist]:
    """Find the nearest items of each query; with their codes, and records of this width, if any."""
    if not asked.with_codes:
        columns = SQL("row_number, id")
    else:
        columns = SQL("row_number, id, code, record" if record_width else "row_number, id, code")
    for rows in _found(link, table, columns, asked.codes, asked.size, condition, plan):
        records = codes = None
        if record_width:
            kept = [row[3] for row in rows]
            if any(len(each) != record_width for each in kept):
                raise FormatError(f"{link.shown}: damaged: a record is cut; {REMEDY}")
            data = b"".join(kept)
            records = np.frombuffer(data, dtype=np.uint8).reshape(-1, record_width)
        if asked.with_codes:
            codes = codes_of([row[2] for row in rows], table.width)
        yield Shortlist(
            _Ids([row[1] for row in rows], link.shown),
            codes,
            records,
            np.array([row[0] for row in rows], dtype=np.int64),
            np.array([row[-1] for row in rows], dtype=np.int32),
        )


def within(
    link: Link, table: Table, codes: CodeArray, radius: int, condition: Condition
) -> Iterator[Shortlist]:
    """Find all items at a distance of at most `radius`, by a scan of all."""
    statement = SQL(
        "SELECT row_number, id, distance FROM (SELECT id, row_number, "
        "(code <~> %s)::int4 AS distance FROM {} WHERE {}) AS items WHERE distance <= %s"
    ).format(table.sql, condition.sql)
    parameters = [
        (bits, *condition.parameters, min(radius, table.n_bits)) for bits in _bits(codes, table)
    ]
    for rows in _run(link, statement, parameters, prepare=condition is EVERYTHING):
        yield Shortlist(
            _Ids([row[1] for row in rows], link.shown),
            None,
            None,
            np.array([row[0] for row in rows], dtype=np.int64),
            np.array([row[2] for row in rows], dtype=np.int32),
        )


def _found(
    link: Link,
    table: Table,
    columns: SQL,
    codes: CodeArray,
    length: int,
    condition: Condition,
    plan: Plan,
) -> Iterator[_Rows]:
    exact = _exact(table, columns, condition, plan)
    bits = _bits(codes, table)
    prepare = condition is EVERYTHING
    parameters: list[tuple[Any, ...]] = [(each, *condition.parameters, length) for each in bits]
    if not plan.by_index:
        yield from _run(link, exact, parameters, prepare)
        return
    by_index = SQL(
        "SELECT {}, distance FROM (SELECT row_number, id, code, record, code <~> %s AS distance "
        "FROM {} WHERE {} ORDER BY code <~> %s LIMIT %s) AS items ORDER BY distance, row_number"
    ).format(columns, table.sql, condition.sql)
    asked = [(each, *condition.parameters, each, length) for each in bits]
    with link.snapshot() as connection:
        set_up_search(connection, length, plan.ef_search)
        for number, rows in enumerate(_sent_ahead(connection, by_index, asked, prepare)):
            # Fewer: the index gave up before it had enough, or there are no more.
            yield (
                rows
                if len(rows) == length
                else _execute(connection, exact, parameters[number], prepare).fetchall()
            )


def _exact(table: Table, columns: SQL, condition: Condition, plan: Plan) -> Composed:
    # The operator <~> by the name of its function: no index is ever used for that, also not one
    # that another client has just made.
    return SQL(
        "SELECT {}, hamming_distance(code, %s) AS distance FROM {} WHERE {} ORDER BY distance{}"
    ).format(
        columns,
        table.sql,
        condition.sql,
        SQL(" FETCH FIRST %s ROWS WITH TIES" if plan.ties else ", row_number LIMIT %s"),
    )


def _bits(codes: CodeArray, table: Table) -> list[Bits]:
    return [Bits(code.tobytes(), table.n_bits) for code in codes]


def _run(
    link: Link, statement: Composed, parameters: Sequence[tuple[Any, ...]], prepare: bool
) -> Iterator[_Rows]:
    """Yield the rows of the statement for each of the parameters, all of the same moment."""
    if len(parameters) == 1:
        with link.statements() as connection:
            rows = _execute(connection, statement, parameters[0], prepare).fetchall()
        yield rows
    elif parameters:
        with link.snapshot() as connection:
            yield from _sent_ahead(connection, statement, parameters, prepare)


def _sent_ahead(
    connection: Connection,
    statement: Composed,
    parameters: Sequence[tuple[Any, ...]],
    prepare: bool,
) -> Iterator[_Rows]:
    waiting = iter(parameters)
    while sent := [
        _execute(connection, statement, each, prepare) for each in islice(waiting, _AHEAD)
    ]:
        for cursor in sent:
            yield cursor.fetchall()


def _execute(
    connection: Connection, statement: Composed, parameters: tuple[Any, ...], prepare: bool
) -> Any:
    return connection.cursor(binary=True).execute(statement, parameters, prepare=prepare)


class _Ids(Sequence[Id]):
    """Ids of a shortlist, read from their texts when asked for: most are not."""

    def __init__(self, texts: list[str], shown: str) -> None:
        self._texts, self._shown = texts, shown

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, number: Any) -> Any:
        try:
            return from_text(self._texts[number])
        except Exception:  # the way that says what is wrong costs more
            with reading(self._shown, "a collection of h2q", REMEDY):
                return from_text(self._texts[number])
