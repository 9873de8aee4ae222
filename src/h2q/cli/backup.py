"""`h2q backup`: a copy of a collection that is in use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from h2q.cli import _console
from h2q.cli._help import Json


def backup(
    collection: Annotated[str, typer.Argument(help="The collection, such as photos.h2q.")],
    out: Annotated[Path, typer.Argument(help="The copy to make.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the copy where there is one.")
    ] = False,
    json: Json = False,
) -> None:
    """Copy a collection while it is in use: a [bold]backup[/] of one moment, whole or not at all.

    Searches and writers of other processes go on; what they write meanwhile is not in the copy.
    Interrupting it leaves no copy, or the one that was there before.
    """
    from h2q.collections import open_collection

    with open_collection(collection, mode="r") as opened, _console.progress("copying") as advance:
        opened.backup(out, overwrite=overwrite, on_progress=advance)
    with open_collection(out, mode="r") as copy:
        facts = {"copy": str(out), "count": len(copy), "size_bytes": out.stat().st_size}
    if json:
        _console.print_json(facts)
    else:
        _console.note(f"{out}: {facts['count']:,} items, {facts['size_bytes']:,} bytes")
