"""`h2q demo`: the whole way on scikit-learn's digits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from h2q.cli import _console
from h2q.cli._help import Json, Seed


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for pictures, report and collection.")
    ] = Path("h2q-demo"),
    bits: Annotated[int, typer.Option("--bits", "-b", min=4, max=128, help="Bits a code.")] = 16,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Of training.")] = 10,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """See it all at work on handwritten [bold]digits[/]; nothing is downloaded.

    Trains a small network, quantizes with none / ITQ / H²Q, prints one table, builds a
    collection, searches it, and leaves pictures and report.html. Under a minute on two cores.
    """
    from h2q.demo import run_demo

    result = run_demo(
        out,
        n_bits=bits,
        epochs=epochs,
        random_state=seed,
        progress=not _console.is_quiet(),
        say=_console.note,
    )
    if json:
        _console.print_json(result.to_dict())
        return
    comparison = result.comparison
    title = (
        f"Digits: {comparison.metric} in percent, {comparison.n_bits} bits, "
        f"{len(comparison.seeds)} fits of each quantizer"
    )
    _console.show(comparison.header(), comparison.rows(), title=title)
    console = _console.out()
    hits = ", ".join(f"{hit.id} ({hit.distance} bits)" for hit in result.search.hits[:5])
    console.print(f"\nNearest to {result.search.query}: {hits}", markup=False)
    console.print("\nLook at next", style="bold")
    for what, command in result.next_steps():
        console.print(f"  {what:<34} {command}", markup=False, soft_wrap=True)
