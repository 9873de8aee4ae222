"""`h2q encode`: embeddings to packed codes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from h2q.cli import _console
from h2q.cli._help import Json, Key, PartFormat, Ray, Workers

if TYPE_CHECKING:
    from h2q.ingest.report import Skipped


def encode(
    embeddings: Annotated[
        str,
        typer.Argument(
            metavar="EMB",
            help="Embeddings (.npz of `h2q embed`, .npy, Parquet, .fbin, ...); or many: a folder, "
            "a pattern, a URL.",
        ),
    ],
    quantizer: Annotated[
        Path, typer.Option("--quantizer", help="The quantizer `h2q fit` wrote, or a model.")
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            help="The file, .npz unless it is named otherwise; of many files, a folder.",
        ),
    ],
    split: Annotated[
        str | None, typer.Option("--split", help="Rows to encode, where the file has splits.")
    ] = None,
    key: Key = None,
    ray: Ray = None,
    workers: Workers = None,
    form: PartFormat = None,
    json: Json = False,
) -> None:
    """Turn embeddings into packed binary [bold]codes[/] with a fitted quantizer.

    The file states the number of bits and their order (MSB first) and keeps the ids.

    With --ray, or of a folder, a pattern ('shards/*.npy') or a URL, the rows are worked on in
    units, OUT becomes a folder of part files with a manifest.json, and the same command continues
    after an interruption.
    """
    from h2q._files import check_apart
    from h2q._ray import check_workers
    from h2q.cli._parts import print_parts
    from h2q.cli._skipped import end, list_skipped
    from h2q.ingest import bulk_encode, encode_file
    from h2q.ingest.quantizers import load_quantizer
    from h2q.rowfiles.storage import is_one_file

    check_workers(workers, ray)
    check_apart(out, quantizer)
    coder = load_quantizer(quantizer)
    options: dict[str, Any] = {"form": form, "key": key, "split": split}
    skipped: list[Skipped] = []
    with _console.progress("encoding") as advance:
        options["on_progress"] = advance
        if ray is None and is_one_file(embeddings):
            codes = encode_file(embeddings, coder, out, on_skipped=skipped.extend, **options)
        else:
            report = bulk_encode(embeddings, coder, out, ray=ray, workers=workers, **options)
            codes = None
    if codes is None:
        print_parts(report, "codes", json=json)
        return
    list_skipped(skipped)
    if json:
        _console.print_json(
            {
                "out": str(out),
                "codes": codes,
                "n_bits": coder.n_bits_,
                "skipped": [asdict(each) for each in skipped],
            }
        )
    else:
        _console.out().print(
            f"{codes:,} codes of {coder.n_bits_} bits -> {_console.place(out)}", markup=False
        )
    end(skipped)
