"""Inputs that could not be used: listed on stderr, and an exit code of their own."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from h2q.cli import _console
from h2q.cli._exit import Exit
from h2q.ingest.report import Skipped

_SHOWN = 20


def list_skipped(skipped: Sequence[Skipped]) -> None:
    """List what was skipped, the first few with their reasons."""
    if not skipped:
        return
    _console.warn(f"skipped {len(skipped)} that could not be read:")
    for each in skipped[:_SHOWN]:
        _console.err().print(f"  {each.path}: {each.reason}", markup=False, soft_wrap=True)
    if len(skipped) > _SHOWN:
        rest = len(skipped) - _SHOWN
        _console.err().print(f"  ... and {rest} more (--json lists all)", markup=False)


def end(skipped: Sequence[object]) -> None:
    """End the command: with code 3 if anything was skipped."""
    if skipped:
        raise typer.Exit(Exit.SKIPPED)
