"""`h2q duplicates COLLECTION`: groups of photos that show the same picture."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from h2q._progress import OnProgress, no_progress
from h2q.cli import _console
from h2q.cli._help import Json
from h2q.cli._where import hint_fields, parse_where

if TYPE_CHECKING:
    from h2q.duplicates import DuplicateGroup, Duplicates, Member

_NAMED = 4  # items of a group that the table names


def find(
    collection: Annotated[str, typer.Argument(help="The collection, such as photos.h2q.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Page (.html), table of all items (.csv), or a folder for both.",
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", help="Write which spare photos to move (.json); nothing is moved."),
    ] = None,
    protect: Annotated[
        list[Path] | None,
        typer.Option("--protect", help="Never suggest a photo of this folder; repeatable."),
    ] = None,
    radius: Annotated[
        int | None,
        typer.Option(
            "--radius", "-r", min=0, help="Bits within which codes are related; calibrated."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Groups to print and to draw, of a level.")
    ] = 50,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", "-w", help="Only items with, say, label=cat, or JSON."),
    ] = None,
    json: Json = False,
) -> None:
    """Find photos that show the same picture, and say how sure that is.

    [bold]same[/]: one picture, verified by its bytes or its pixels. [bold]close[/]: it mirrored,
    turned or cropped, or nearly the same. [bold]related[/]: the codes are near, no more is known;
    all that can be said where the photos are not at hand. Nothing is moved or deleted.
    """
    from h2q._files import check_place, made_folder
    from h2q.collections import open_collection
    from h2q.duplicates import find_duplicates
    from h2q.duplicates.moving import make_move_plan
    from h2q.reports.duplicates import duplicates_page, write_group_table

    condition = parse_where(where or [])
    page, table = _targets(out)
    with ExitStack() as stack:
        if out is not None and out not in (page, table):
            stack.enter_context(made_folder(out))
        for place in (page, table):
            if place is not None:
                check_place(place, collection)
        if plan is not None:
            check_place(plan, collection, page, table)
        opened = stack.enter_context(open_collection(collection, mode="r"))
        with _stages() as on_stage:
            found = find_duplicates(
                opened,
                radius=radius,
                where=condition,
                protect=protect or (),
                on_stage=on_stage,
            )
        if not found.n_items:
            hint_fields(opened, condition)
        if found.trouble:
            _console.warn(found.trouble)
        if plan is not None:
            moves = make_move_plan(found)
            moves.write(plan)
            _console.note(
                f"{len(moves.moves):,} moves -> {plan}; look, then: "
                f"h2q duplicates apply {plan} --to FOLDER"
            )
        if page is not None:
            with _console.progress("drawing") as advance:
                duplicates_page(found, limit=limit, on_progress=advance).write(page)
            _console.note(f"page -> {page}")
        if table is not None:
            write_group_table(table, found)
            _console.note(f"all items -> {table}")
    if json:
        _console.print_json(facts(found))
    else:
        _print(found, limit)


def facts(found: Duplicates) -> dict[str, Any]:
    """Return what was found as JSON tells it."""
    return {
        "collection": found.uri,
        "n_bits": found.n_bits,
        "compared": found.n_items,
        "verifiable": found.n_verifiable,
        "verified": not found.trouble,
        "trouble": found.trouble,
        "limits": found.limits.to_dict(),
        "counts": {level: len(found.of(level)) for level in ("same", "close", "related")},
        "spare": len(found.spare),
        "groups": [
            {
                "level": group.level,
                "keep": group.members[0].id if group.level == "same" else None,
                "why": group.why,
                "items": [_item(group, member) for member in group.members],
            }
            for group in found.groups
        ],
    }


def _item(group: DuplicateGroup, member: Member) -> dict[str, Any]:
    photo = member.photo
    item: dict[str, Any] = {
        "id": member.id,
        "change": member.change,
        "distance": member.distance,
        "keep": group.level == "same" and member is group.members[0],
        "protected": member.protected,
    }
    if photo is not None:
        item |= {
            "path": str(photo.path),
            "width": member.width,
            "height": member.height,
            "size": photo.size,
            "date": photo.date,
            "taken": photo.taken,
            "sha256": photo.sha256,
        }
    return item


def _print(found: Duplicates, limit: int) -> None:
    if not found.groups:
        _console.out().print(
            f"{found.uri}: nothing alike among {found.n_items:,} items", markup=False
        )
        return
    meant = {
        "same": "one picture, verified",
        "close": "the same picture changed, or nearly the same",
        "related": f"codes within {found.limits.related_radius} bits, not verified",
    }
    for level, meaning in meant.items():
        groups = [group for group in found.groups if group.level == level]
        if not groups:
            continue
        spare = sum(len(group.spare) for group in groups)
        more = f"; {spare:,} photos to spare" if level == "same" else ""
        same = level == "same"
        rows = [
            [place, len(group), _names(group), group.why if same else _changes(group)]
            for place, group in enumerate(groups[:limit], start=1)
        ]
        _console.show(
            ["#", "items", "the one to keep first" if same else "ids", "why" if same else "how"],
            rows,
            title=f"{level} ({meaning}): {len(groups):,} group{'s' * (len(groups) != 1)}{more}",
        )


def _names(group: DuplicateGroup) -> str:
    names = [str(member.id) for member in group.members[:_NAMED]]
    more = f", and {len(group) - _NAMED:,} more" if len(group) > _NAMED else ""
    return ", ".join(names) + more


def _changes(group: DuplicateGroup) -> str:
    return ", ".join(sorted({member.change for member in group.members if member.change}))


def _targets(out: Path | None) -> tuple[Path | None, Path | None]:
    """Where the page and the table go."""
    if out is None:
        return None, None
    suffix = out.suffix.lower()
    if suffix in (".html", ".htm"):
        return out, None
    if suffix == ".csv":
        return None, out
    return out / "report.html", out / "groups.csv"


class _stages:  # noqa: N801
    """A bar for each stage, one after the other."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._stage = ""
        self._advance: OnProgress = no_progress

    def __enter__(self) -> Callable[[str, int, int], None]:
        return self._tell

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _tell(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self._stack.close()
            self._stage = stage
            self._advance = self._stack.enter_context(_console.progress(stage))
        self._advance(done, total)
