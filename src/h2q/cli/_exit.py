"""Exit codes, and the one place where errors become them."""

from __future__ import annotations

import enum
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from h2q._addresses import without_secrets
from h2q._signals import Terminated
from h2q.cli import _console
from h2q.errors import H2QError


class Exit(enum.IntEnum):
    """What the process says when it ends; documented in `h2q --help` and docs/commands.md."""

    OK = 0
    ERROR = 1
    USAGE = 2
    SKIPPED = 3
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn the errors a user can meet into one line and a code; leave bugs their traceback."""
    try:
        yield
    except BrokenPipeError:
        # The reader of our output (`| head`) has gone; that is no error of anyone.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.OK) from None
    except Terminated:
        _console.err().print("ended by SIGTERM; run the same command again to go on")
        raise typer.Exit(Exit.TERMINATED) from None
    except KeyboardInterrupt:
        _console.err().print("interrupted")
        raise typer.Exit(Exit.INTERRUPTED) from None
    except H2QError as error:
        _console.fail(str(error))
        raise typer.Exit(Exit.ERROR) from None
    except MemoryError as error:
        what = f" ({error})" if str(error) else ""
        _console.fail(f"there is not enough memory for this{what}; take fewer bits or rows")
        raise typer.Exit(Exit.ERROR) from None
    except OSError as error:  # a full disk, a read-only folder, a missing file
        _console.fail(str(error))
        raise typer.Exit(Exit.ERROR) from None
    except Exception as error:
        # Of the words of the command line, one of which may be an address (typer's own click has
        # no public name).
        if hasattr(error, "format_message") and isinstance(getattr(error, "message", None), str):
            error.message = without_secrets(error.message)  # type: ignore[attr-defined]
        raise
