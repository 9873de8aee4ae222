"""What the verbs of `h2q paper` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

paper = typer.Typer(
    no_args_is_help=True,
    help="The paper's experiment: run it, and make its tables, figures and report.",
)

Results = Annotated[
    Path, typer.Argument(metavar="RESULTS", help="A results file (.parquet), or a run's folder.")
]
Compare = Annotated[
    Path | None,
    typer.Option(
        "--compare",
        metavar="CSV",
        help="Published figures to put beside ours: columns backbone, dataset, bits, loss, "
        "quantization, map_mean_percent.",
    ),
]


def words(text: str | None) -> tuple[str, ...] | None:
    """Split ``A,B``; None stays None."""
    return None if text is None else tuple(word for word in text.replace(",", " ").split())


def numbers(option: str, text: str | None, kind: type[int] | type[float]) -> Any:
    """Split ``16,64`` into numbers; None stays None."""
    from h2q.errors import InvalidInputError

    parts = words(text)
    try:
        return None if parts is None else tuple(kind(part) for part in parts)
    except ValueError as error:
        raise InvalidInputError(f"{option} {text}: expected numbers, as in 16,64") from error
