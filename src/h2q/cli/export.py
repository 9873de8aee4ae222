"""`h2q export`: a collection's codes to a file another library reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from h2q.cli import _console
from h2q.cli._help import Json
from h2q.cli._where import parse_where


def export(
    collection: Annotated[
        str | None, typer.Argument(help="The collection, such as photos.h2q.")
    ] = None,
    out: Annotated[
        Path | None, typer.Argument(help="The file; its suffix tells the format.")
    ] = None,
    format: Annotated[
        str | None, typer.Option("--format", "-f", help="The format, by name (--list).")
    ] = None,
    quantizer: Annotated[
        Path | None,
        typer.Option(
            "--quantizer", help="For faiss-lsh, where the collection keeps none: what made codes."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", "-s", metavar="KEY=VALUE", help="An option of the format, such as index=hnsw."
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", "-w", help="Only items with, say, label=cat, or JSON."),
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="List the formats and their options, and stop.")
    ] = False,
    json: Json = False,
) -> None:
    """[bold]Export[/] the codes of a collection for faiss, usearch, Parquet, PostgreSQL, ...

    The order of the bits is converted where a library has another. What a format cannot hold (text
    ids, payloads, the number of bits) goes into two files beside it; copy them together. Only
    ann-benchmarks loses payloads, and holds some items out as queries; both are said.
    """
    if listing:
        _list(json)
        return
    if collection is None or out is None:
        raise typer.BadParameter("give the collection and the file to write")
    from h2q._files import check_place
    from h2q.collections import open_collection
    from h2q.rowfiles import format_of, stream_of_collection, write_codes
    from h2q.rowfiles.registry import held_out

    chosen = format_of(out, format)
    options = _options(settings or [])
    condition = parse_where(where or [])
    check_place(out, collection, quantizer)
    with open_collection(collection, mode="r") as opened:
        if chosen.name == "faiss-lsh":
            options["quantizer"] = opened.quantizer
            if quantizer is not None:
                from h2q.ingest.quantizers import load_quantizer

                options["quantizer"] = load_quantizer(quantizer)
        elif quantizer is not None:
            raise typer.BadParameter("is for faiss-lsh", param_hint="--quantizer")
        with _console.progress("exporting") as advance:
            stream = stream_of_collection(opened, condition)
            write_codes(stream.with_progress(advance), out, chosen.name, **options)
        held = held_out(out, chosen, stream.count)
        facts = {
            "out": str(out),
            "format": chosen.name,
            "codes": stream.count - held,
            **({"held_out": held} if held else {}),
            "n_bits": stream.n_bits,
            "bit_order": chosen.bit_order,
        }
        lost = 0
        if chosen.loses.startswith("payloads (lost)"):
            lost = sum(sum(map(bool, batch.payloads)) for batch in stream.batches())
    if lost:
        _console.warn(f"{chosen.name} holds no payloads: those of {lost:,} items are not in {out}")
    if json:
        _console.print_json(facts)
        return
    queries = f", {held:,} held out as queries" if held else ""
    _console.out().print(
        f"{facts['codes']:,} codes of {stream.n_bits} bits{queries} -> {_console.place(out)} "
        f"({chosen.name})",
        markup=False,
    )


def _options(settings: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{setting!r} is not KEY=VALUE", param_hint="--set")
        options[key] = int(value) if value.lstrip("-").isdecimal() else value
    return options


def _list(json: bool) -> None:
    from h2q.rowfiles import FORMATS

    rows = [
        [each.name, " ".join(each.suffixes), each.library, each.bit_order, each.loses]
        for each in FORMATS.values()
    ]
    names = ["name", "suffix", "library", "bit order", "not in the file itself"]
    if json:
        _console.print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    _console.show(names, rows)
