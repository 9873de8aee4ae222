"""Inputs that could not be used: listed on stderr, and an exit code of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import typer

from h2q._addresses import without_secrets
from h2q.cli import _console
from h2q.cli._exit import Exit
from h2q.images import suffix_of
from h2q.ingest.report import IndexReport, Skipped

_SHOWN = 20
_OF_ONE_KIND = 5


def list_skipped(skipped: Sequence[Skipped]) -> None:
    """List what was skipped, the first few with their reasons."""
    if not skipped:
        return
    _console.warn(f"skipped {len(skipped)} that could not be used:")
    # Many of one kind (a folder of RAW beside JPEG) are counted, not listed.
    kinds = Counter((suffix_of(each.path), each.reason) for each in skipped)
    many = {kind: n for kind, n in kinds.items() if n > _OF_ONE_KIND}
    for (suffix, reason), n in many.items():
        line = without_secrets(f"  {n:,} {suffix or 'of them'}: {reason}")
        _console.err().print(line, markup=False, soft_wrap=True)
    skipped = [e for e in skipped if (suffix_of(e.path), e.reason) not in many]
    for each in skipped[:_SHOWN]:
        line = without_secrets(f"  {each.path}: {each.reason}")
        _console.err().print(line, markup=False, soft_wrap=True)
    if len(skipped) > _SHOWN:
        rest = len(skipped) - _SHOWN
        _console.err().print(f"  ... and {rest} more (--json lists all)", markup=False)


def warn_of_repeats(report: IndexReport) -> None:
    """Say where ids came more than once: of each the last row alone is in the collection."""
    if report.repeated:
        rows, ids = ("row", "an id") if report.repeated == 1 else ("rows", "ids")
        _console.warn(
            f"{report.repeated:,} {rows} of the input had {ids} that came again: of each id the "
            "last row stands"
        )


def warn_of_unlabelled(report: IndexReport) -> None:
    """Say how many rows of a file with labels have none."""
    if not report.unlabelled:
        return
    rows = "1 row has" if report.unlabelled == 1 else f"{report.unlabelled:,} rows have"
    if report.unlabelled == report.added + report.updated:
        rows = "no row has a label, though the input has labels: all"
        _console.warn(f"{rows} are -1, NaN or gaps, which mean unlabelled")
    else:
        _console.warn(f"{rows} no label (-1, NaN or a gap), and are stored without one")


def end(skipped: Sequence[object]) -> None:
    """End the command: with code 3 if anything was skipped."""
    if skipped:
        raise typer.Exit(Exit.SKIPPED)
