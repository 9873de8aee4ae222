"""`h2q compact`: give space back, and make what opens a collection fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from h2q.cli import _console
from h2q.cli._help import Json
from h2q.cli._index_option import IndexOption, IndexOptions, index_asked_for


def compact(
    collection: Annotated[str, typer.Argument(help="The collection, such as photos.h2q.")],
    index: IndexOption = None,
    index_options: IndexOptions = None,
    json: Json = False,
) -> None:
    """Give the space of deleted items back to the disk, and [bold]compact[/] what is kept.

    Then builds the index, where the collection has one, and writes the cache that opens it fast.
    Needs as much free space as the collection has, for a while. Others may read meanwhile.
    """
    from h2q.collections import open_collection

    file = Path(collection)
    before = file.stat().st_size if file.exists() else 0
    asked = index_asked_for(collection, index, index_options)
    open_collection(collection, mode="r").close()  # says best that there is none
    with open_collection(collection, mode="a", **asked) as opened:
        opened.compact()
        opened.optimize()
    after = file.stat().st_size
    facts = {"collection": collection, "bytes_before": before, "bytes_after": after}
    if json:
        _console.print_json(facts)
    else:
        _console.note(f"{collection}: {before:,} bytes before, {after:,} after")
