"""`h2q duplicates apply` and `undo`: spare photos moved away by a plan, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from h2q.cli import _console
from h2q.cli._exit import Exit
from h2q.cli._help import Json

if TYPE_CHECKING:
    from h2q.duplicates.moving import MoveReport


def apply(
    plan: Annotated[Path, typer.Argument(help="What `h2q duplicates C --plan` wrote.")],
    to: Annotated[Path, typer.Option("--to", help="Folder to move to, outside the indexed ones.")],
    json: Json = False,
) -> None:
    """Move the photos of a plan to another folder; nothing is deleted or overwritten.

    Both photos are read again just before each move: what has changed is left alone. The folder's
    h2q-moves.jsonl says where everything was. Interrupted, the same command goes on.
    """
    from h2q.duplicates.moving import apply_plan, read_plan

    moves = read_plan(plan)
    with _console.progress("moving") as advance:
        report = apply_plan(moves, to, on_progress=advance)
    _say(report, f"moved to {to}", json)


def undo(
    log: Annotated[Path, typer.Argument(help="h2q-moves.jsonl, or the folder it lies in.")],
    json: Json = False,
) -> None:
    """Move everything back that `h2q duplicates apply` moved, and restore it in the collection."""
    from h2q.duplicates.moving import undo_moves

    with _console.progress("moving back") as advance:
        report = undo_moves(log, on_progress=advance)
    _say(report, "moved back", json)


def _say(report: MoveReport, what: str, json: bool) -> None:
    for path, reason in report.skipped:
        _console.warn(f"{path}: {reason}; left where it is")
    if json:
        _console.print_json(
            {
                "moved": report.moved,
                "moved_before": report.before,
                "skipped": [{"path": p, "reason": reason} for p, reason in report.skipped],
                "log": str(report.log),
                "collection": report.collection_note,
            }
        )
    else:
        if report.before:
            what += f", {report.before:,} were there already"
        note = f"; {report.collection_note}" if report.collection_note else ""
        _console.out().print(
            f"{report.moved:,} photos {what}{note}; log: {report.log}", markup=False, soft_wrap=True
        )
    if report.skipped:
        raise typer.Exit(Exit.SKIPPED)
