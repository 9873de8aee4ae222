"""What the tables of a collection are, as the server's own catalog says, before one is read.

A view, a rule, a trigger or a policy in the place of a table would run what somebody else wrote,
with the rights of whoever opens the collection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from h2q.collections.pgvector.connection import Connection
from h2q.errors import FormatError

REMEDY: Final = "give another collection or database, or restore it from a copy"
# Not by to_regclass: it may remember from before a lock was waited for that there is no table.
_READ: Final = """
SELECT c.relname, c.relkind = 'r', c.relhasrules, c.relrowsecurity,
       EXISTS (SELECT FROM pg_catalog.pg_trigger t
                WHERE t.tgrelid = c.oid AND NOT t.tgisinternal),
       EXISTS (SELECT FROM pg_catalog.pg_constraint k
                WHERE k.conrelid = c.oid AND k.contype = 'c'),
       ARRAY (SELECT a.attname::text FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                     AND a.attgenerated = '' ORDER BY a.attnum),
       ARRAY (SELECT pg_catalog.format_type(a.atttypid, a.atttypmod)
                FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                     AND a.attgenerated = '' ORDER BY a.attnum)
  FROM pg_catalog.pg_class c
 WHERE c.relname = ANY (%s) AND pg_catalog.pg_table_is_visible(c.oid)
"""


class Known(NamedTuple):
    """What is known of a table: why it is none of ours, and the types of its columns."""

    faults: tuple[str, ...]
    columns: dict[str, str]


def read(connection: Connection, names: Sequence[str]) -> dict[str, Known]:
    """Look tables, or what has their names, up; those that are not there are left out."""
    found = {}
    for row in connection.execute(_READ, (list(names),)):
        name, plain, rules, policies, triggers, checks, columns, types = row
        faults = {
            "it is not a plain table": not plain,
            "it has rules": plain and rules,
            "it has policies of rows": policies,
            "it has triggers": triggers,
            "it has constraints that h2q did not make": checks,
        }
        said = tuple(text for text, true in faults.items() if true)
        found[name] = Known(said, dict(zip(columns, types, strict=True)))
    return found


def check(known: Mapping[str, Known], table: str, columns: Mapping[str, str], shown: str) -> None:
    """Refuse a table that is not as h2q makes it; more columns do no harm.

    Raises
    ------
    FormatError
    """
    found = known.get(table)
    if found is None:
        raise FormatError(f"{shown}: its table {table} is not there; {REMEDY}")
    for name, kind in columns.items():
        if found.columns.get(name) != kind:
            held = found.columns.get(name, "absent")
            raise FormatError(
                f"{shown}: the table {table} is not one of h2q: its column {name} is {held} "
                f"instead of {kind}; {REMEDY}"
            )
    if found.faults:
        raise FormatError(
            f"{shown}: the table {table} is not as h2q makes it: {found.faults[0]}; {REMEDY}"
        )
