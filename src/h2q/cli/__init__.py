"""The command `h2q`: one thin module a verb.

Importing this package imports neither numpy nor torch; each verb imports what it needs when it
runs, so that `h2q --help` answers at once.
"""

from __future__ import annotations

import io
import sys
import traceback


def main() -> None:
    """Run the command line and end the process with an exit code of `h2q.cli._exit.Exit`."""
    from h2q._addresses import without_secrets
    from h2q.cli import _console
    from h2q.cli._app import app
    from h2q.cli._exit import Exit

    if isinstance(sys.stdout, io.TextIOWrapper):  # names and ids may be no Unicode
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="h2q")
    except KeyboardInterrupt:  # before or after a verb; within one, its own handler says more
        sys.exit(Exit.INTERRUPTED)
    except Exception:
        sys.stderr.write(without_secrets(traceback.format_exc()))
        _console.fail("this is a bug in h2q; please report it with the lines above")
        sys.exit(Exit.BUG)
