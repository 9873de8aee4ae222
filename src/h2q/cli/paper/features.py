"""`h2q paper features`: a frozen backbone's features, once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from h2q.cli import _console
from h2q.cli._help import examples
from h2q.cli.paper._shared import paper


@paper.command(
    epilog=examples(
        "h2q paper features cifar10:cifar-10-python.tar.gz --backbone mobilenetv2_100 "
        "--image-size 160 --crop 1 --components 256 --out features/cifar10.npz",
    )
)
def features(
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="A data set of images (h2q train --list datasets)."),
    ],
    backbone: Annotated[str, typer.Option("--backbone", help="Its weights stay as they come.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the features, .npz.")],
    image_size: Annotated[
        int | None, typer.Option("--image-size", min=8, help="Instead of the backbone's own.")
    ] = None,
    crop: Annotated[
        float | None, typer.Option("--crop", help="Share of the resized image that is kept.")
    ] = None,
    components: Annotated[
        int | None, typer.Option("--components", min=1, help="Principal components to keep.")
    ] = None,
) -> None:
    """Compute a frozen backbone's features once, so that every training takes seconds.

    An interrupted pass goes on where it was.
    """
    from h2q._files import check_place
    from h2q.datasets import load_dataset
    from h2q.experiments.features import extract_features

    check_place(out, data)
    path = extract_features(
        load_dataset(data),
        backbone,
        out,
        image_size=image_size,
        crop=crop,
        components=components,
        progress=not _console.is_quiet(),
    )
    _console.out().print(str(path), markup=False)
