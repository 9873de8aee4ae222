"""Where output goes: results to stdout, everything else (progress, notes, errors) to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from h2q._addresses import without_secrets
from h2q._printable import printable, steers
from h2q._progress import OnProgress, in_lines, no_progress

_WIDE = 160  # columns where the output is a pipe or a file, so that no row is broken
_PLACES = ("collection", "uri", "source", "out", "copy", "manifest", "skipped", "folder")
_quiet = False


def set_quiet(quiet: bool) -> None:
    """Turn progress and notes off (or on again)."""
    global _quiet
    _quiet = quiet


def is_quiet() -> bool:
    """Whether progress and notes are off."""
    return _quiet


class _Guarded(Console):
    """A console whom no text of a file, an id or a payload can steer."""

    def render_str(self, text: str, **options: Any) -> Any:
        """Turn a text into what is printed."""
        return super().render_str(printable(text, keep="\n\t"), **options)


class _Output(_Guarded):
    def on_broken_pipe(self) -> None:
        """Leave it to the exit codes; rich itself would exit with an error."""
        raise BrokenPipeError


def out() -> Console:
    """Return the console for results."""
    return _Output(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def err() -> Console:
    """Return the console for everything that is not the result."""
    return _Guarded(stderr=True, width=None if sys.stderr.isatty() else _WIDE, highlight=False)


def note(text: str) -> None:
    """Say something in passing."""
    if not _quiet:
        err().print(without_secrets(text), style="dim", markup=False)


def warn(text: str) -> None:
    """Say something the user should not miss; --quiet does not silence it."""
    err().print(f"[yellow]warning:[/] {escape(without_secrets(text))}")


def fail(text: str) -> None:
    """Print an error as one line (or as its message has lines), without passwords."""
    err().print(f"[bold red]error:[/] {escape(without_secrets(text))}", soft_wrap=True)


def print_json(value: Any) -> None:
    """Print `value` as JSON for another program; what names a place, without its password."""
    if isinstance(value, dict):
        value = {key: _shown(each) if key in _PLACES else each for key, each in value.items()}
    text = _writable(json.dumps(value, ensure_ascii=False, default=_plain))
    if not text.isprintable():  # JSON leaves most of what some terminals obey as it is
        text = "".join(json.dumps(each)[1:-1] if steers(each) else each for each in text)
    sys.stdout.write(text + "\n")


def _shown(value: Any, *, within: bool = False) -> Any:
    """Return a place, or a list of them; of a list, which may name photos, the addresses only."""
    if isinstance(value, str):
        return value if within and "://" not in value else without_secrets(value)
    if isinstance(value, list | tuple):
        return [_shown(each, within=True) for each in value]
    if isinstance(value, dict):
        return {key: _shown(each, within=True) for key, each in value.items()}
    return value


def place(where: object) -> str:
    """Return the name of a place as it may be shown."""
    return without_secrets(str(where))


def name(text: str) -> str:
    r"""Quote a word of the command line; bytes that are no UTF-8 become ``\xe9`` and the like."""
    return f"'{text.encode('utf-8', 'surrogateescape').decode('utf-8', 'backslashreplace')}'"


def print_line(text: str) -> None:
    """Print a line as it is; what a terminal cannot write is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    text = printable(text)
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


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
        console.print(printable(without_secrets(title)), style="bold", markup=False, soft_wrap=True)
    console.print(table(columns, rows))


@contextmanager
def progress(description: str) -> Iterator[OnProgress]:
    """Show on stderr how far something long is: a bar, or a line now and then without a terminal.

    Yields a function that is told how many items are done, and of how many.
    """
    console = err()
    if _quiet:
        yield no_progress
        return
    if not console.is_terminal:
        with in_lines(description, note) as lines:
            yield lines
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return escape(printable(str(value)))


def _writable(text: str) -> str:
    r"""Return a text of a file as UTF-8 can hold it: half a character becomes ``\ud800``."""
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> Any:
    """Turn numpy numbers and arrays, and paths, into what JSON knows."""
    for method in ("tolist", "__fspath__"):
        if hasattr(value, method):
            return getattr(value, method)()
    raise TypeError(f"{type(value).__name__} is not JSON")
