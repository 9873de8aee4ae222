"""`h2q import`: codes from another library's file into a collection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from h2q.cli import _console
from h2q.cli._help import Json


def import_(
    source: Annotated[Path, typer.Argument(help="The file of codes; its suffix tells the format.")],
    collection: Annotated[
        str, typer.Option("--collection", "-c", help="The collection; made if it is absent.")
    ],
    format: Annotated[
        str | None, typer.Option("--format", "-f", help="The format (h2q export --list).")
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option("--bits", "-b", min=1, help="Bits a code, where the file does not say it."),
    ] = None,
    bit_order: Annotated[
        str | None,
        typer.Option(
            "--bit-order", help="msb (default) or lsb, of a file of bytes that does not say it."
        ),
    ] = None,
    quantizer: Annotated[
        Path | None,
        typer.Option("--quantizer", help="What made the codes; a new collection keeps it."),
    ] = None,
    json: Json = False,
) -> None:
    """[bold]Import[/] codes that faiss, usearch, pandas, PostgreSQL, ... hold into a collection.

    Ids and payloads come along where the file, or those beside it, have them. Items with the same
    id are replaced.
    """
    from h2q.cli._skipped import warn_of_repeats
    from h2q.collections import open_collection
    from h2q.ingest import ingest

    with _console.progress("importing") as advance:
        report = ingest(
            source, collection, quantizer=quantizer, kind="codes", format=format, n_bits=bits,
            bit_order=bit_order, on_progress=advance,
        )  # fmt: skip
    with open_collection(collection, mode="r") as opened:
        collection, n_bits = opened.uri, opened.n_bits  # without the password it may hold
    warn_of_repeats(report)
    if json:
        _console.print_json({"collection": collection, "n_bits": n_bits, **report.to_dict()})
        return
    updated = f", {report.updated:,} updated" if report.updated else ""
    _console.out().print(
        f"{report.added:,} added{updated} -> {_console.place(collection)}", markup=False
    )
