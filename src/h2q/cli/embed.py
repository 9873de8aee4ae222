"""`h2q embed`: photos or a data set to real embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from h2q.cli import _console
from h2q.cli._help import BatchSize, Device, Json, PartFormat, Ray, Workers


def embed(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder of photos (also s3://... and the like), or a data set (h2q train --list "
            "datasets)."
        ),
    ],
    model: Annotated[Path, typer.Option("--model", "-m", help="Model file or run folder.")],
    out: Annotated[
        str,
        typer.Option("--out", "-o", help="Where to write the .npz; of many photos, a folder."),
    ],
    batch_size: BatchSize = None,
    device: Device = "auto",
    ray: Ray = None,
    workers: Workers = None,
    form: PartFormat = None,
    json: Json = False,
) -> None:
    """Turn photos into real [bold]embeddings[/] with a trained model.

    The .npz holds one row an image, before rotation, with ids, and labels and splits where they
    are known. Photos that cannot be read are listed and skipped.

    With --ray, or of a URL, the photos are worked on in units, OUT becomes a folder of part files
    with a manifest.json, and the same command continues after an interruption.
    """
    from h2q._files import check_place
    from h2q._ray import check_workers
    from h2q.cli._parts import print_parts
    from h2q.cli._skipped import end, list_skipped
    from h2q.ingest.embedding import embed_dataset, embed_folder
    from h2q.ingest.encoder import PhotoEncoder, load_hasher
    from h2q.ingest.report import Skipped
    from h2q.rowfiles.embeddings import save_embeddings
    from h2q.rowfiles.storage import is_url

    check_workers(workers, ray)
    if ray is not None or is_url(source):
        from h2q.ingest import bulk_embed
        from h2q.ingest.encoder import model_file

        with _console.progress("embedding") as advance:
            report = bulk_embed(
                source,
                model_file(model).read_bytes(),
                out,
                form=form,
                batch_size=batch_size or 64,
                device=device,
                ray=ray,
                workers=workers,
                on_progress=advance,
            )
        print_parts(report, "embeddings", json=json)
        return
    check_place(out, source, model)
    hasher = load_hasher(model)
    if Path(source).is_dir():
        encoder = PhotoEncoder(hasher, device)
        with _console.progress("embedding") as advance:
            embeddings, skipped = embed_folder(
                source, encoder, batch_size=batch_size, on_progress=advance
            )
    else:
        from h2q.datasets import load_dataset

        dataset = load_dataset(source)
        skipped = [Skipped(*each.split(": ", 1)) for each in dataset.skipped]
        if hasher.preprocessing is not None:
            hasher = PhotoEncoder(hasher, device).hasher
        embeddings = embed_dataset(
            dataset, hasher, batch_size=batch_size, progress=not _console.is_quiet()
        )
    save_embeddings(out, embeddings, form)
    list_skipped(skipped)
    rows, dimension = embeddings.rows.shape
    if json:
        _console.print_json(
            {
                "out": str(out),
                "rows": rows,
                "dimension": dimension,
                "labelled": embeddings.labels is not None,
                "skipped": [{"path": each.path, "reason": each.reason} for each in skipped],
            }
        )
    else:
        _console.out().print(
            f"{rows:,} embeddings of dimension {dimension} -> {_console.place(out)}", markup=False
        )
    end(skipped)
