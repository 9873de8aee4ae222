"""Texts of the help pages that several verbs share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Final

import typer
from rich.markup import escape

EXIT_CODES: Final = "\n".join(
    [
        "[bold]Exit codes[/]",
        "    0  done",
        "    1  could not be done; one line on stderr says why and what would help",
        "    2  the command line was not understood",
        "    3  done, but some inputs were skipped; each is listed on stderr",
        "   70  a bug in h2q",
        "  130  interrupted; what was stored stays, and the same command continues",
    ]
)


def examples(*lines: str) -> str:
    """Lay out example command lines for the end of a help page."""
    return "\n".join(["[bold]Examples[/]", *(f"  [cyan]{escape(line)}[/]" for line in lines)])


def prose(function: Callable[..., object]) -> str:
    """Return the docstring with each paragraph on one line, for the terminal to wrap."""
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


Json = Annotated[bool, typer.Option("--json", help="Print JSON, for another program.")]
Key = Annotated[
    str | None,
    typer.Option(
        "--key", help="Which array of the .npz holds the embeddings, if there are several."
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
Device = Annotated[
    str, typer.Option("--device", help='Where the network runs: "auto", "cpu", "cuda", "cuda:1".')
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size", min=1, help="Images the network takes at a time; 64, or 256 on a GPU."
    ),
]
Ray = Annotated[
    str | None,
    typer.Option("--ray", metavar="ADDRESS", help='Work on a Ray cluster: "auto" or HOST:PORT.'),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", "-j", min=1, help="With --ray: most workers; all CPUs by default."),
]
PartFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        help='"npz" (default), "parquet" (of parts, it alone keeps labels) or "npy" (without '
        "ids); of one file also the others of h2q export --list. By default the suffix tells.",
    ),
]
