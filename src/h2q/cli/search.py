"""`h2q search`: the neighbours of a photo, an embedding or a stored item."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from h2q.cli import _console
from h2q.cli._help import Device, Json, Key
from h2q.cli._where import parse_where
from h2q.ranks import help_text

if TYPE_CHECKING:
    from h2q.searching.searcher import Hit, Result


def search(
    collection: Annotated[str, typer.Argument(help="The collection, such as photos.h2q.")],
    query: Annotated[
        Path | None,
        typer.Argument(help="A photo, or embeddings (.npy, .npz); one search a row."),
    ] = None,
    item_id: Annotated[
        str | None, typer.Option("--id", help="Search for what is like this stored item.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Neighbours to find.")] = 10,
    radius: Annotated[
        int | None,
        typer.Option(
            "--radius", "-r", min=0, help="All items within so many bits, inclusive; not only k."
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where", "-w", help="Only items with, say, label=cat or year>=2020, or JSON."
        ),
    ] = None,
    rank: Annotated[
        str | None,
        typer.Option(
            "--rank",
            help=help_text(),
        ),
    ] = None,
    oversample: Annotated[
        int | None,
        typer.Option(
            "--oversample", min=1, help="Items ranked for each one asked for, where not all are."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Draw query and neighbours as a contact sheet, .png."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", help="If the collection keeps none: model or run folder."),
    ] = None,
    key: Key = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """[bold]Search[/] a collection for what is like a photo, an embedding or a stored item.

    Distances are Hamming distances in bits; scores, where the query is real-valued, are inner
    products with the stored codes, or cosines by another --rank (higher is nearer).
    """
    from h2q.ranks import rank_names
    from h2q.searching.searcher import Searcher

    if (query is None) == (item_id is None):
        raise typer.BadParameter("give either a QUERY file or --id")
    if rank is not None and rank not in rank_names():
        raise typer.BadParameter(f"is one of {', '.join(rank_names())}", param_hint="--rank")
    if radius is not None and rank not in (None, "hamming"):
        raise typer.BadParameter("--radius counts bits; it goes with --rank hamming")
    condition = parse_where(where or [])
    with Searcher(collection, model=model, device=device) as searcher:
        queries = (
            searcher.stored_item(item_id)
            if item_id is not None
            else searcher.file(cast(Path, query), key=key)
        )
        results = searcher.search(
            queries,
            k=k,
            radius=radius,
            where=condition,
            rank=cast(Any, rank),
            oversample=oversample,
        )
    if out is not None:
        from h2q.searching.sheets import draw_sheet

        if len(results) != 1:
            raise typer.BadParameter("draws one query, not several", param_hint="--out")
        draw_sheet(results[0], out)
        _console.note(f"contact sheet -> {out}")
    if json:
        _console.print_json([result.to_dict() for result in results])
        return
    for result in results:
        _print(result)


def _print(result: Result) -> None:
    hits = result.hits
    if not hits:
        _console.out().print(f"{result.query}: nothing found", markup=False)
        return
    scored, labelled = hits[0].score is not None, any(_label(hit) for hit in hits)
    columns = [
        "#",
        "distance",
        *(["score"] if scored else []),
        *(["label"] if labelled else []),
        "id",
    ]
    rows = [
        [
            place,
            hit.distance,
            *([f"{hit.score:.2f}"] if hit.score is not None else []),
            *([_label(hit)] if labelled else []),
            str(hit.id),
        ]
        for place, hit in enumerate(hits, start=1)
    ]
    _console.show(columns, rows, title=f"Neighbours of {result.query}")


def _label(hit: Hit) -> str:
    payload = hit.payload or {}
    labels = payload.get("labels")
    return ", ".join(map(str, labels)) if labels else str(payload.get("label", ""))
