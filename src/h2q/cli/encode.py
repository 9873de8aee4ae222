"""`h2q encode`: embeddings to packed codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from h2q.cli import _console
from h2q.cli._help import Json, Key


def encode(
    embeddings: Annotated[
        Path, typer.Argument(metavar="EMB", help="Embeddings, .npy or .npz (`h2q embed`).")
    ],
    quantizer: Annotated[
        Path, typer.Option("--quantizer", help="The quantizer `h2q fit` wrote, or a model.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the codes, .npz.")],
    split: Annotated[
        str, typer.Option("--split", help="Rows to encode, where the file has splits.")
    ] = "all",
    key: Key = None,
    json: Json = False,
) -> None:
    """Turn embeddings into packed binary [bold]codes[/] with a fitted quantizer.

    The file states the number of bits and their order (MSB first) and keeps the ids.
    """
    from h2q.codes import save_codes
    from h2q.indexing.embeddings import load_embeddings
    from h2q.indexing.quantizers import load_quantizer

    given = load_embeddings(embeddings, key=key).part(split)
    estimator = load_quantizer(quantizer)
    codes = estimator.transform(given.rows)
    save_codes(out, codes, estimator.n_bits_, ids=given.ids)
    if json:
        _console.print_json({"out": str(out), "codes": len(codes), "n_bits": estimator.n_bits_})
        return
    _console.out().print(f"{len(codes):,} codes of {estimator.n_bits_} bits -> {out}", markup=False)
