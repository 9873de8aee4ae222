"""`h2q duplicates`: groups of near-duplicates in a collection."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from h2q.cli import _console
from h2q.cli._help import Json
from h2q.cli._where import parse_where

if TYPE_CHECKING:
    from h2q.collections.base import Collection
    from h2q.duplicates.scan import CollectionDuplicates

_NAMED = 4  # ids of a group that the table names


class First(StrEnum):
    """Which groups come first."""

    LARGEST = "largest"
    TIGHTEST = "tightest"


def duplicates(
    collection: Annotated[str, typer.Argument(help="The collection, such as photos.h2q.")],
    radius: Annotated[
        int,
        typer.Option(
            "--radius", "-r", min=0, help="Bits by which near-duplicates differ at most; inclusive."
        ),
    ] = 2,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for report.html (with pictures) and groups.csv (all items)."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Groups to show; groups.csv has all.")
    ] = 50,
    order: Annotated[First, typer.Option("--order", help="Which groups come first.")] = (
        First.LARGEST
    ),
    where: Annotated[
        list[str] | None,
        typer.Option("--where", "-w", help="Only items with, say, label=cat, or JSON."),
    ] = None,
    json: Json = False,
) -> None:
    """Find all groups of near-[bold]duplicates[/] within a Hamming radius, exactly.

    Groups are by chaining: two items are in one group where steps within the radius lead from one
    to the other. Not every pair is compared, so a million codes take seconds at a small radius.
    Nothing is deleted.
    """
    from h2q.collections import open_collection
    from h2q.duplicates.scan import duplicates_in
    from h2q.reports.duplicates import duplicates_page, write_group_table

    condition = parse_where(where or [])
    with open_collection(collection, mode="r") as opened:
        with _console.progress("comparing") as advance:  # one bar at a time: it starts over
            found = duplicates_in(
                opened, radius, where=condition, on_read=advance, on_compare=advance
            )
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            with _console.progress("drawing") as advance:
                page = duplicates_page(
                    opened, found, limit=limit, order=order.value, on_progress=advance
                )
            write_group_table(out / "groups.csv", opened, found, order=order.value)
            page.write(out / "report.html")
            _console.note(f"report -> {out / 'report.html'}, all items -> {out / 'groups.csv'}")
        if json:
            _console.print_json(_facts(opened, found, order, limit))
            return
    _print(collection, found, order, limit)


def _facts(
    collection: Collection, found: CollectionDuplicates, order: First, limit: int
) -> dict[str, Any]:
    groups = found.groups
    return {
        "collection": collection.uri,
        "n_bits": found.n_bits,
        "radius": groups.radius,
        "compared": groups.n_rows,
        "groups": len(groups),
        "in_groups": int(groups.sizes.sum()),
        "spare": groups.n_spare,
        "pairs_at": groups.pairs_at,
        "shown": [
            {
                "items": [
                    {"id": found.ids[row], "distance": distance}
                    for row, distance in zip(
                        group.rows.tolist(), group.distances.tolist(), strict=True
                    )
                ]
            }
            for group in (groups[n] for n in groups.order(order.value)[:limit].tolist())
        ],
    }


def _print(uri: str, found: CollectionDuplicates, order: First, limit: int) -> None:
    groups = found.groups
    if not len(groups):
        _console.out().print(
            f"{uri}: no two of {groups.n_rows:,} items are within {groups.radius} bits",
            markup=False,
        )
        return
    rows = []
    for place, number in enumerate(groups.order(order.value)[:limit].tolist(), start=1):
        group = groups[number]
        names = [str(found.ids[row]) for row in group.rows[:_NAMED].tolist()]
        more = f", and {len(group) - _NAMED:,} more" if len(group) > _NAMED else ""
        rows.append([place, len(group), group.reach, ", ".join(names) + more])
    _console.show(
        ["#", "items", "bits from the oldest", "ids"],
        rows,
        title=f"groups within {groups.radius} bits: {len(groups):,}; items to spare: "
        f"{groups.n_spare:,} of {groups.n_rows:,}",
    )
