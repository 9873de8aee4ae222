"""`h2q search`: the neighbours of a photo, an embedding or a stored item."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from h2q.cli import _console
from h2q.cli._help import Device, Json, Key
from h2q.cli._where import hint_fields, parse_where
from h2q.ranks import help_text

if TYPE_CHECKING:
    from h2q.searching.searcher import Hit, Query, Result, Searcher


def search(
    collection: Annotated[str, typer.Argument(help="The collection, such as photos.h2q.")],
    query: Annotated[
        list[str] | None,
        typer.Argument(
            help="Photos, or ids of items: what several have in common. Or embeddings (.npy, "
            ".npz); one search a row."
        ),
    ] = None,
    item_id: Annotated[
        list[str] | None, typer.Option("--id", help="Search for what is like this stored item.")
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", "-t", help="Search by words, with an encoder that knows them."),
    ] = None,
    unlike: Annotated[
        list[str] | None, typer.Option("--not", help="A photo, or id, the results are not like.")
    ] = None,
    k: Annotated[
        int | None,
        typer.Option("-k", min=1, help="Neighbours at most: 10, or all with --radius."),
    ] = None,
    radius: Annotated[
        int | None,
        typer.Option("--radius", "-r", min=0, help="Only items within so many bits, inclusive."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            "-w",
            help="Only items with, say, label=cat or 'taken>=2024-06', or JSON.",
        ),
    ] = None,
    distinct: Annotated[
        bool, typer.Option("--distinct", help="Leave out near-duplicates of better results.")
    ] = False,
    rank: Annotated[
        str | None,
        typer.Option("--rank", help=help_text()),
    ] = None,
    oversample: Annotated[
        int | None,
        typer.Option(
            "--oversample", min=1, help="Items ranked for each one asked for, where not all are."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Show query and neighbours: a picture (.png, .jpg) or .html.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", help="If the collection keeps none: model or run folder."),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", help="Where its encoder is now, if not where it was."),
    ] = None,
    key: Key = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """[bold]Search[/] a collection for what is like photos, words, embeddings or stored items.

    Several photos count together, and --not leads away. Distances are Hamming distances in bits;
    scores, where the query is real-valued, are inner products with the stored codes, or cosines by
    another --rank (higher is nearer).
    """
    from h2q._files import check_place
    from h2q.ranks import rank_names
    from h2q.searching.searcher import Searcher

    if not (query or item_id or text):
        raise typer.BadParameter("give a QUERY (a photo or an id), --id or --text")
    if rank is not None and rank not in rank_names():
        raise typer.BadParameter(f"is one of {', '.join(rank_names())}", param_hint="--rank")
    if radius is not None and rank not in (None, "hamming"):
        raise typer.BadParameter("--radius counts bits; it goes with --rank hamming")
    condition = parse_where(where or [])
    if out is not None:  # before the search
        from h2q.searching.sheets import check_no_item, kind_of_sheet

        kind_of_sheet(out)
        check_place(out, collection, model, *(query or []), *(unlike or []), picture=True)
    with Searcher(collection, model=model, encoder=encoder, device=device) as searcher:
        if out is not None:
            check_no_item(out, searcher.collection)
        queries = _queries(searcher, query or [], item_id or [], text, unlike or [], key)
        results = searcher.search(
            queries,
            k=k,
            radius=radius,
            where=condition,
            rank=cast(Any, rank),
            oversample=oversample,
            distinct=distinct,
        )
        if not any(result.hits for result in results):
            hint_fields(searcher.collection, condition)
    if out is not None:
        from h2q.searching.sheets import draw_sheet

        if len(results) != 1:
            raise typer.BadParameter("shows one query, not several", param_hint="--out")
        draw_sheet(results[0], out)
        _console.note(f"contact sheet -> {out}")
    if json:
        _console.print_json([result.to_dict() for result in results])
        return
    for result in results:
        _print(result)


def _queries(
    searcher: Searcher,
    given: list[str],
    ids: list[str],
    text: str | None,
    unlike: list[str],
    key: str | None,
) -> list[Query]:
    """Turn what was named on the command line into queries: one, but of a file of embeddings."""
    from h2q.rowfiles.registry import SUFFIXES

    if len(given) == 1 and given[0].lower().endswith(SUFFIXES):
        if ids or text or unlike:
            raise typer.BadParameter("a file of embeddings is searched for alone")
        return searcher.file(given[0], key=key)
    if key is not None:
        raise typer.BadParameter("is for a file of embeddings", param_hint="--key")
    like = [searcher.any_of(each) for each in given]
    like += [query for each in ids for query in searcher.stored_item(each)]
    like += [] if text is None else [searcher.text(text)]
    return [searcher.combined(like, [searcher.any_of(each) for each in unlike])]


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
