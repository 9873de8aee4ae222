"""`h2q index`: photos, embeddings or codes into a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from h2q._addresses import without_secrets
from h2q.cli import _console
from h2q.cli._help import BatchSize, Device, Json, Key, Ray, Workers
from h2q.cli._index_option import IndexOption, IndexOptions, index_asked_for

if TYPE_CHECKING:
    from h2q.ingest.report import IndexReport

#: The cache of a collection is renewed where it lacks more than this share of the items.
_LAG = 1 / 16


def index(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder of photos; or embeddings or codes, of any format of h2q export --list: "
            "a file, a folder, a pattern ('shards/*.npy'), a URL (s3://...)."
        ),
    ],
    collection: Annotated[
        str, typer.Option("--collection", "-c", help="The collection, such as photos.h2q.")
    ],
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", help="Model file or run folder; kept in the collection."),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            help="For photos without --model: efficientnet-lite0 (default), -lite1, -lite2, "
            "onnx:FILE or timm:NAME.",
        ),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(
            "--bits",
            "-b",
            min=1,
            help="Bits a code of a new collection: of photos (64), or of embeddings, which fit a "
            "rotation then; or of a file of codes that does not say.",
        ),
    ] = None,
    gps: Annotated[
        bool, typer.Option("--gps", help="Keep where photos were taken, to search by it.")
    ] = False,
    quantizer: Annotated[
        str | None,
        typer.Option(
            "--quantizer",
            help="For embeddings: a file of h2q fit, or with --bits a name (itq, local-search, "
            "...) to fit on them; kept as well.",
        ),
    ] = None,
    index_kind: IndexOption = None,
    index_options: IndexOptions = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            help="Of a new collection: what it keeps of each real row, for search --rank: codes "
            "(nothing), scale (2 bytes), int8 or float16 (1 or 2 bytes a bit).",
        ),
    ] = None,
    decoder: Annotated[
        str | None,
        typer.Option(
            "--decoder",
            help="Of a new collection: what brings rows back from codes, kept once, for search "
            "--rank: a file of fit --decoder-out; or by name, fitted on what is indexed: code "
            "(rank decoded) or linear (rank linear).",
        ),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove the photos of this folder that are gone.")
    ] = False,
    prefix: Annotated[
        str,
        typer.Option("--prefix", help="Goes before the ids, to keep several folders apart."),
    ] = "",
    max_pixels: Annotated[
        int, typer.Option("--max-pixels", min=1, help="Skip photos larger than this.")
    ] = 89_478_485,
    form: Annotated[
        str | None,
        typer.Option("--format", "-f", help="Of a file of rows, if its suffix does not tell."),
    ] = None,
    key: Key = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Only the rows of this split, of files with some.")
    ] = None,
    ray: Ray = None,
    workers: Workers = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            "--journal",
            help="Of rows: the file that records what is done; beside the collection by default.",
        ),
    ] = None,
    batch_size: BatchSize = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Bring photos, embeddings or codes into a [bold]collection[/].

    Run again on the same folder, it reads only what is new or has changed. Interrupted, it keeps
    what is done, and the same command continues.

    Photos need nothing else: a new collection embeds them with an encoder that is trained already,
    and fits the rotation on the photos themselves. It keeps both (or the --model, or for embeddings
    the --quantizer), so that later runs and searches need nothing either.

    A photo's id is its path below the folder; the first folder below it is stored as `label`, and
    with it `taken`, `camera`, `width`, `height`, `size` and `sha256`. A photo that was moved or
    renamed is known again by its content.

    With --ray the photos, or rows, are read and coded by the workers of a cluster, in units; this
    process stores each unit when it comes back. Killed workers are replaced.
    """
    from h2q.cli._skipped import end, list_skipped, warn_of_repeats, warn_of_unlabelled
    from h2q.ingest import ingest
    from h2q.ranks import check_keep

    index_given = index_asked_for(collection, index_kind, index_options)
    with _console.progress("indexing") as advance:
        report = ingest(
            source,
            collection,
            model=model,
            encoder=encoder,
            n_bits=bits,
            gps=gps,
            quantizer=quantizer,
            keep=None if keep is None else check_keep(keep),
            decoder=decoder,
            prune=prune,
            prefix=prefix,
            max_pixels=max_pixels,
            format=form,
            key=key,
            split=split,
            ray=ray,
            workers=workers,
            journal=journal,
            batch_size=batch_size,
            device=device,
            on_progress=advance,
            on_note=_console.note,
        )
    if report.added or report.updated or index_given:
        _make_fast_to_open(collection, index_given)
    list_skipped(report.skipped)
    warn_of_repeats(report)
    warn_of_unlabelled(report)
    if report.passed_over:
        films = ", ".join(f"{n:,} {suffix}" for suffix, n in sorted(report.passed_over.items()))
        _console.note(f"passed over films: {films}")
    if report.gone:
        _console.note(
            f"{report.gone:,} indexed photos are no longer in {source}; --prune removes them from "
            "the collection"
        )
    if json:
        _console.print_json({"collection": collection, **report.to_dict()})
    else:
        _console.out().print(_summary(report, collection), markup=False)
    end(report.skipped)


def _make_fast_to_open(uri: str, index: dict[str, Any]) -> None:
    """Build the index of a file and the cache of a large one, that no search has to wait for it."""
    from h2q.collections import open_collection

    if "://" in uri:  # servers keep their own indexes
        return
    with open_collection(uri, **index) as collection:
        collection.optimize(share=_LAG)


def _summary(report: IndexReport, uri: str) -> str:
    parts = [f"{report.added:,} added"]
    for count, what in (
        (report.updated, "updated"),
        (report.renewed, "touched or moved"),
        (report.unchanged, "unchanged"),
        (report.removed, "removed"),
        (report.gone, "gone"),
        (len(report.skipped), "skipped"),
    ):
        if count:
            parts.append(f"{count:,} {what}")
    return f"{', '.join(parts)} -> {without_secrets(uri)}"
