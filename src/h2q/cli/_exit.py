"""Exit codes, and the one place where errors become them."""

from __future__ import annotations

import enum
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

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
        _console.fail(_words(error))
        raise typer.Exit(Exit.ERROR) from None
    except Exception as error:
        # Of the words of the command line, one of which may be an address (typer's own click has
        # no public name).
        if hasattr(error, "format_message") and isinstance(getattr(error, "message", None), str):
            error.message = without_secrets(error.message)  # type: ignore[attr-defined]
        raise


#: What the system says, in our words, and what to do.
_REMEDIES: Final = {
    errno.ENOSPC: "the disk is full; free some space, or give a place on another disk",
    errno.EDQUOT: "your share of the disk is used up; free some space, or give another place",
    errno.EFBIG: "the file would be larger than is allowed there; give another place",
    errno.EROFS: "this file system cannot be written; give another place",
    errno.EACCES: "access is denied; allow it, or give another place",
    errno.EPERM: "this is not permitted; allow it, or give another place",
    errno.EEXIST: "something of that name is there already; give another name",
    errno.ENOTDIR: "a part of this path is a file and no folder; give another path",
    errno.EISDIR: "is a folder; give the name of a file",
    errno.ENOENT: "there is no such file or folder; check the path",
    errno.ENAMETOOLONG: "the name is too long; give a shorter one",
}


def _words(error: OSError) -> str:
    """Say what the system refused, of which file, and what helps."""
    remedy = _REMEDIES.get(error.errno) if error.errno is not None else None
    if remedy is None:
        return str(error)
    place = error.filename2 or error.filename
    return remedy if place is None else f"{os.fsdecode(place)}: {remedy}"
