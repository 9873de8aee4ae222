"""`h2q fit`: fit a quantizer to embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from h2q.cli import _console
from h2q.cli._help import Json, Key, Seed
from h2q.errors import InvalidInputError


def fit(
    embeddings: Annotated[
        str,
        typer.Argument(
            metavar="EMB",
            help="Embeddings, .npy or .npz (`h2q embed`); or shards: a folder, a pattern, a URL.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the quantizer.")],
    bits: Annotated[
        int | None,
        typer.Option("--bits", "-b", min=1, help="Bits a code; the dimension by default."),
    ] = None,
    quantizer: Annotated[
        str, typer.Option("--quantizer", help="h2q, itq, local-search, none or random.")
    ] = "h2q",
    decoder: Annotated[
        str | None,
        typer.Option(
            "--decoder",
            help="With --decoder-out: code (for the rank decoded; the default) or linear (for the "
            "rank linear).",
        ),
    ] = None,
    decoder_out: Annotated[
        Path | None,
        typer.Option(
            "--decoder-out",
            help="Also fit what brings rows back from codes, and write it here, for h2q index "
            "--decoder.",
        ),
    ] = None,
    solver: Annotated[
        str | None,
        typer.Option(
            "--solver", help="For h2q: graduated, sgd (the paper's recipe) or procrustes."
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option("--objective", help="For h2q: l2, l1, min_entry or bit_variance."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", help="Rows to fit on; train where the file has splits; or all."),
    ] = None,
    key: Key = None,
    with_error: Annotated[
        bool,
        typer.Option("--error/--no-error", help="Read the rows again for the quantization error."),
    ] = True,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Fit a [bold]quantizer[/] to embeddings, without labels.

    Finds the rotation that brings the embeddings close to their signs. Where fewer bits are asked
    for than the embeddings have dimensions, PCA comes first.

    Shards ('shards/*.npy', a folder, s3://...; .npy, .npz, Parquet) are streamed: they may be
    larger than memory together.
    """
    from h2q._files import check_place
    from h2q.ingest import fit_decoder_to_shards, fit_shards
    from h2q.quantization import make_quantizer
    from h2q.quantization.decoders import check_decoder_name
    from h2q.rowfiles.shards import local_files

    asked, decoder = decoder, check_decoder_name(decoder or "code")
    if asked is not None and decoder_out is None:
        raise typer.BadParameter("say where it goes: --decoder-out", param_hint="--decoder")
    check_place(out, *local_files(embeddings))
    if decoder_out is not None:
        check_place(decoder_out, out, *local_files(embeddings))

    given = {"solver": solver, "objective": objective}
    options = {name: value for name, value in given.items() if value is not None}
    estimator = make_quantizer(quantizer, bits, random_state=seed, **options)
    if not hasattr(estimator, "to_bytes"):
        raise InvalidInputError(f"a {quantizer} cannot be saved; derive it from BaseQuantizer")
    with _console.progress("reading") as advance:
        report = fit_shards(
            embeddings, estimator, key=key, split=split, with_error=with_error, on_progress=advance
        )
    if decoder_out is not None:
        with _console.progress("reading for the decoder") as advance:
            behind = fit_decoder_to_shards(
                embeddings, estimator, decoder, key=key, split=split, random_state=seed,
                on_progress=advance,
            )  # fmt: skip
        behind.save(decoder_out)
    if report.skipped:
        _console.warn(
            f"skipped {report.skipped:,} of {report.rows + report.skipped:,} rows: they are all "
            "zeros and have no direction"
        )
    n_rows, dimension, error = report.rows, report.dimension, report.quantization_error
    estimator.save(out)
    result = {
        "quantizer": quantizer,
        "out": str(out),
        "rows": n_rows,
        "skipped": report.skipped,
        "dimension": dimension,
        "n_bits": estimator.n_bits_,
        "quantization_error": error,
    }
    if decoder_out is not None:
        result |= {"decoder": decoder, "decoder_out": str(decoder_out)}
    if json:
        _console.print_json(result)
        return
    shown = "" if error is None else f", quantization error {error:.4f}"
    _console.out().print(
        f"{quantizer}: {estimator.n_bits_} bits from {n_rows:,} rows of dimension {dimension}"
        f"{shown} -> {_console.place(out)}",
        markup=False,
    )
    if decoder_out is not None:
        _console.out().print(f"decoder {decoder} -> {_console.place(decoder_out)}", markup=False)
