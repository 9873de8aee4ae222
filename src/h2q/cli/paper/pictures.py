"""`h2q paper pictures`: one training looked at closely."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from h2q.cli import _console
from h2q.cli._help import Seed, examples
from h2q.cli.paper._shared import paper


@paper.command(
    epilog=examples(
        "h2q paper pictures digits --backbone digits-cnn --bits 32 --out pictures",
        "h2q paper pictures npz:features/cifar10.npz --loss hyp2 --bits 64 --out pictures",
    )
)
def pictures(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A data set.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write them to.")],
    backbone: Annotated[str, typer.Option("--backbone", help="Stays frozen.")] = "features",
    loss: Annotated[str, typer.Option("--loss", help="What to train with.")] = "cel",
    bits: Annotated[int, typer.Option("--bits", min=2, help="Length of the codes.")] = 32,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Of the training.")] = 20,
    query: Annotated[int, typer.Option("--query", min=0, help="Whose neighbours to show.")] = 0,
    kind: Annotated[str, typer.Option("--format", help='"png", "svg" or "pdf".')] = "png",
    seed: Seed = 0,
) -> None:
    """Train once, and draw what each quantization does to the embeddings.

    Embeddings before and after rotation, their coordinates, codes by class, precision and recall,
    and, for images, the neighbours of a query.
    """
    from h2q.datasets import load_dataset
    from h2q.errors import InvalidInputError
    from h2q.experiments.grid import Training
    from h2q.experiments.showcase import draw_showcase, save_showcase
    from h2q.experiments.training import train

    dataset = load_dataset(data)
    if query >= len(dataset.query):
        raise InvalidInputError(f"--query {query}: there are {len(dataset.query)} queries, from 0")
    setting = Training("data", "backbone", loss, bits, seed, epochs=epochs)
    embeddings = train(setting, dataset, backbone)
    drawn = draw_showcase(dataset, embeddings, query=query, seed=seed)
    for path in save_showcase(out, drawn, kind):
        _console.out().print(str(path), markup=False)
