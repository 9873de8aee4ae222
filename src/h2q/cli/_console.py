"""Where output goes: results to stdout, everything else (progress, notes, errors) to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_WIDE = 160  # columns where the output is a pipe or a file, so that no row is broken
_quiet = False


def set_quiet(quiet: bool) -> None:
    """Turn progress and notes off (or on again)."""
    global _quiet
    _quiet = quiet


def is_quiet() -> bool:
    """Whether progress and notes are off."""
    return _quiet


class _Output(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the exit codes; rich itself would exit with an error."""
        raise BrokenPipeError


def out() -> Console:
    """Return the console for results."""
    return _Output(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def err() -> Console:
    """Return the console for everything that is not the result."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else _WIDE, highlight=False)


def note(text: str) -> None:
    """Say something in passing."""
    if not _quiet:
        err().print(text, style="dim", markup=False)


def warn(text: str) -> None:
    """Say something the user should not miss; --quiet does not silence it."""
    err().print(f"[yellow]warning:[/] {escape(text)}")


def fail(text: str) -> None:
    """Print an error as one line (or as its message has lines)."""
    err().print(f"[bold red]error:[/] {escape(text)}", soft_wrap=True)


def print_json(value: Any) -> None:
    """Print `value` as JSON for another program."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=_plain) + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """Lay out rows: text to the left, numbers to the right."""
    grid = Table(box=None, padding=(0, 2, 0, 0))
    for place, name in enumerate(columns):
        numbers = all(isinstance(row[place], int | float) or row[place] == "" for row in rows)
        grid.add_column(name, justify="right" if numbers and rows else "left", overflow="fold")
    for row in rows:
        grid.add_row(*[_cell(value) for value in row])
    return grid


def show(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str = "") -> None:
    """Print a table as the result, below a title."""
    console = out()
    if title:
        console.print(title, style="bold", markup=False, soft_wrap=True)
    console.print(table(columns, rows))


@contextmanager
def progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr while something long runs; nothing where stderr is no terminal.

    Yields a function that is told how many items are done, and of how many.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = err()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=_quiet or not console.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return escape(str(value))


def _plain(value: Any) -> Any:
    """Turn numpy numbers and arrays, and paths, into what JSON knows."""
    for method in ("tolist", "__fspath__"):
        if hasattr(value, method):
            return getattr(value, method)()
    raise TypeError(f"{type(value).__name__} is not JSON")
