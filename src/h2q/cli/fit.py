"""`h2q fit`: fit a quantizer to embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from h2q.cli import _console
from h2q.cli._help import Json, Key, Seed


def fit(
    embeddings: Annotated[
        Path, typer.Argument(metavar="EMB", help="Embeddings, .npy or .npz (`h2q embed`).")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the quantizer.")],
    bits: Annotated[
        int | None,
        typer.Option("--bits", "-b", min=1, help="Bits a code; the dimension by default."),
    ] = None,
    quantizer: Annotated[
        str, typer.Option("--quantizer", help="h2q, itq, sign or random.")
    ] = "h2q",
    solver: Annotated[
        str,
        typer.Option(
            "--solver", help="For h2q: graduated, sgd (the paper's recipe) or procrustes."
        ),
    ] = "graduated",
    objective: Annotated[
        str,
        typer.Option("--objective", help="For h2q: l2, l1, min_entry or bit_variance."),
    ] = "l2",
    split: Annotated[
        str, typer.Option("--split", help="Rows to fit on, where the file has splits; or all.")
    ] = "train",
    key: Key = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Fit a [bold]quantizer[/] to embeddings, without labels.

    Finds the rotation that brings the embeddings close to their signs. Where fewer bits are asked
    for than the embeddings have dimensions, PCA comes first.
    """
    from h2q.indexing.embeddings import load_embeddings
    from h2q.reports.comparison import make_quantizer

    rows = load_embeddings(embeddings, key=key).part(split).rows
    estimator = make_quantizer(
        quantizer, n_bits=bits, solver=solver, objective=objective, random_state=seed
    )
    estimator.fit(rows)
    estimator.save(out)
    result = {
        "quantizer": quantizer,
        "out": str(out),
        "rows": len(rows),
        "dimension": rows.shape[1],
        "n_bits": estimator.n_bits_,
        "quantization_error": float(estimator.quantization_error(rows)),
    }
    if json:
        _console.print_json(result)
        return
    _console.out().print(
        f"{quantizer}: {result['n_bits']} bits from {result['rows']:,} rows of dimension "
        f"{result['dimension']}, quantization error {result['quantization_error']:.4f} -> {out}",
        markup=False,
    )
