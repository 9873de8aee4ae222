"""`h2q encode`: embeddings to packed codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from h2q.cli import _console
from h2q.cli._help import Json, Key, PartFormat, Ray, Workers


def encode(
    embeddings: Annotated[
        str,
        typer.Argument(
            metavar="EMB",
            help="Embeddings, .npy or .npz (`h2q embed`); or many: a folder, a pattern, a URL.",
        ),
    ],
    quantizer: Annotated[
        Path, typer.Option("--quantizer", help="The quantizer `h2q fit` wrote, or a model.")
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", help="Where to write the .npz; of many files, a folder.")
    ],
    split: Annotated[
        str, typer.Option("--split", help="Rows to encode, where the file has splits.")
    ] = "all",
    key: Key = None,
    ray: Ray = None,
    workers: Workers = None,
    form: PartFormat = "npz",
    json: Json = False,
) -> None:
    """Turn embeddings into packed binary [bold]codes[/] with a fitted quantizer.

    The file states the number of bits and their order (MSB first) and keeps the ids.

    With --ray, or of a folder, a pattern ('shards/*.npy') or a URL, the rows are worked on in
    units, OUT becomes a folder of part files with a manifest.json, and the same command continues
    after an interruption.
    """
    from h2q.cli._bulk import is_bulk, print_parts
    from h2q.codes import save_codes
    from h2q.ingest.quantizers import load_quantizer
    from h2q.rowfiles.embeddings import load_embeddings

    if is_bulk(embeddings, ray):
        from h2q.ingest import bulk_encode

        if split != "all":
            raise typer.BadParameter("is for a single file", param_hint="--split")
        with _console.progress("encoding") as advance:
            report = bulk_encode(
                embeddings,
                load_quantizer(quantizer),
                out,
                form=form,
                key=key,
                ray=ray,
                workers=workers,
                on_progress=advance,
            )
        print_parts(report, "codes", json=json)
        return
    given = load_embeddings(embeddings, key=key).part(split)
    estimator = load_quantizer(quantizer)
    codes = estimator.transform(given.rows)
    save_codes(out, codes, estimator.n_bits_, ids=given.ids)  # type: ignore[arg-type]
    if json:
        _console.print_json({"out": str(out), "codes": len(codes), "n_bits": estimator.n_bits_})
        return
    _console.out().print(f"{len(codes):,} codes of {estimator.n_bits_} bits -> {out}", markup=False)
