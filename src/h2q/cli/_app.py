"""The verbs, put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from h2q._version import __version__
from h2q.cli import _console
from h2q.cli._exit import exit_codes
from h2q.cli._help import EXIT_CODES, examples, prose
from h2q.cli._words import modern
from h2q.cli.backup import backup
from h2q.cli.compact import compact
from h2q.cli.demo import demo
from h2q.cli.duplicates import duplicates
from h2q.cli.embed import embed
from h2q.cli.encode import encode
from h2q.cli.evaluate import evaluate
from h2q.cli.export import export
from h2q.cli.fit import fit
from h2q.cli.import_ import import_
from h2q.cli.index import index
from h2q.cli.info import info
from h2q.cli.items import delete, get, list_
from h2q.cli.paper import paper
from h2q.cli.search import search
from h2q.cli.serve import serve
from h2q.cli.train import train


class _Verbs(TyperGroup):
    """The group of verbs; every verb's errors become exit codes here."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        parsed: list[str] = super().parse_args(ctx, modern(args))
        return parsed

    def invoke(self, ctx: Any) -> Any:
        with exit_codes():
            return super().invoke(ctx)


app = typer.Typer(
    name="h2q",
    cls=_Verbs,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)

_START = "Start here"
_PHOTOS = "Photos: learn, index, search"
_ARRAYS = "Embeddings: quantize, encode, judge"
_OTHERS = "Other libraries"


def _add(function: Callable[..., None], panel: str, *lines: str, name: str | None = None) -> None:
    app.command(name, help=prose(function), rich_help_panel=panel, epilog=examples(*lines))(
        function
    )


_add(demo, _START, "h2q demo --out build/demo")
_add(
    info, _START, "h2q info photos.h2q", "h2q info runs/cats --json", "h2q info photos.h2q --check"
)
_add(
    train,
    _PHOTOS,
    "h2q train --data folder:photos --backbone resnet50 --freeze --bits 64 --out runs/photos",
    "h2q train --config runs/photos/config.yaml --epochs 100 --out runs/longer",
    "h2q train --list losses",
)
_add(
    index,
    _PHOTOS,
    "h2q index ~/Pictures -c photos.h2q",
    "h2q index ~/Pictures --collection photos.h2q --model runs/photos",
    "h2q index ~/Pictures --collection photos.h2q --prune",
    "h2q index embeddings.npz --collection items.h2q --quantizer rotation.safetensors",
    "h2q index ~/Pictures -c photos.h2q --decoder code",
    "h2q index s3://bucket/photos --collection photos.h2q --model runs/photos --ray auto",
)
_add(
    search,
    _PHOTOS,
    "h2q search photos.h2q cat.jpg -k 10 --out neighbours.png",
    "h2q search photos.h2q --id cats/17.jpg --where label=cats --json",
    "h2q search photos.h2q cat.jpg --radius 6",
    "h2q search photos.h2q one.jpg two.jpg --not dog.jpg --distinct --out found.html",
)
_add(list_, _PHOTOS, "h2q list photos.h2q --where 'taken>=2024-06'", name="list")
_add(get, _PHOTOS, "h2q get photos.h2q cats/17.jpg --json")
_add(
    delete,
    _PHOTOS,
    "h2q delete photos.h2q cats/17.jpg",
    "h2q delete photos.h2q --where label=cats",
)
app.add_typer(duplicates, rich_help_panel=_PHOTOS)
_add(
    serve,
    _PHOTOS,
    "h2q serve photos.h2q --open",
    "h2q serve postgresql://me@host/photos?collection=cats --port 8080 --read-only",
    "h2q serve photos.h2q --host 0.0.0.0 --keys keys.json --allow-host photos.example.org",
)
_add(
    backup,
    _PHOTOS,
    "h2q backup photos.h2q backup/photos.h2q",
    "h2q backup photos.h2q backup/photos.h2q --overwrite",
)
_add(compact, _PHOTOS, "h2q compact photos.h2q")
_add(
    embed,
    _ARRAYS,
    "h2q embed photos/ --model runs/photos --out photos.npz",
    "h2q embed digits --model runs/digits --out digits.npz",
    "h2q embed s3://bucket/photos --model runs/photos --out rows/ --format parquet --ray auto",
)
_add(
    fit,
    _ARRAYS,
    "h2q fit photos.npz --bits 64 --out rotation.safetensors",
    "h2q fit photos.npz --quantizer itq --seed 1 --out itq.safetensors",
    "h2q fit 'shards/*.npy' --bits 64 --out rotation.safetensors",
    "h2q fit photos.npz --bits 64 --out rotation.safetensors --decoder-out decoder.safetensors",
    "h2q fit photos.npz --solver sgd --objective min_entry --out paper.safetensors",
)
_add(
    encode,
    _ARRAYS,
    "h2q encode photos.npz --quantizer rotation.safetensors --out codes.npz",
    "h2q encode 'shards/*.npy' --quantizer rotation.safetensors --out codes/ --ray auto",
)
_add(
    evaluate,
    _ARRAYS,
    "h2q eval photos.npz --bits 64 -k 1000 --repeats 5",
    "h2q eval --model runs/photos --data folder:photos",
    "h2q eval photos.h2q",
    name="eval",
)
_add(
    export,
    _OTHERS,
    "h2q export photos.h2q codes.parquet",
    "h2q export photos.h2q codes.faiss --set index=hnsw --set m=16",
    "h2q export photos.h2q raw.lsh.faiss",
    "h2q export --list",
)
_add(
    import_,
    _OTHERS,
    "h2q import codes.parquet --collection photos.h2q",
    "h2q import theirs.u8bin --bits 64 --collection items.h2q",
    name="import",
)
app.add_typer(paper, name="paper", rich_help_panel="Research")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"h2q {__version__}")
        raise typer.Exit


def h2q(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bars, no notes; results only.")
    ] = False,
) -> None:
    """Images or embeddings to short binary codes, stored and searched.

    Deep hashing with Householder quantization (H²Q, arXiv 2311.04207). Results go to stdout,
    progress and errors to stderr. Every verb explains itself: [bold]h2q VERB --help[/].
    """
    _console.set_quiet(quiet)


app.callback(help=prose(h2q))(h2q)
