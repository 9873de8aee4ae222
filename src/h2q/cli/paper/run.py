"""`h2q paper run | status | list`: do the jobs of a grid, and see how far they are."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated, Any

import typer

from h2q.cli import _console
from h2q.cli._exit import Exit
from h2q.cli._help import Json, examples
from h2q.cli.paper._shared import numbers, paper, words


def _listed(name: str, text: str) -> Any:
    return typer.Option(name, metavar="A,B,...", help=text)


@paper.command(
    epilog=examples(
        "h2q paper run --grid digits --out runs/digits",
        "h2q paper run --grid frozen --data cifar10=npz:features/cifar10.npz "
        "--backbones mobilenetv2=features --bits 16,64 --workers 2 --out runs/frozen",
        "h2q paper run --grid finetuned --data cifar10=cifar10:cifar-10-python.tar.gz "
        "--seeds 0,1 --workers 8 --out runs/finetuned",
        "h2q paper run --grid paper --ray auto --out runs/paper",
    )
)
def run(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")],
    grid: Annotated[
        str,
        typer.Option(
            "--grid", help='"digits" (a minute), "frozen" (features), "finetuned" (a GPU), "paper".'
        ),
    ] = "digits",
    datasets: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="NAME=SPEC", help="A data set; may be repeated."),
    ] = None,
    backbones: Annotated[
        list[str] | None,
        typer.Option("--backbones", metavar="NAME=SPEC", help="A backbone; may be repeated."),
    ] = None,
    losses: Annotated[str | None, _listed("--losses", "Losses.")] = None,
    quantizations: Annotated[
        str | None, _listed("--quantizers", "Quantizers and penalties; h2q paper list names them.")
    ] = None,
    bits: Annotated[str | None, _listed("--bits", "Lengths of the codes.")] = None,
    seeds: Annotated[str | None, _listed("--seeds", "Seeds.")] = None,
    weights: Annotated[
        str | None, _listed("--penalty-weights", "Candidates for the weight of a penalty.")
    ] = None,
    top: Annotated[int | None, typer.Option("-k", min=1, help="Cut-off of mAP@k.")] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Of every training.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Of the hash layer.")
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", "-j", min=1, help="Processes of this machine.")
    ] = 1,
    image_size: Annotated[
        int | None, typer.Option("--image-size", min=8, help="Instead of the grid's own.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help='"32", "bf16" or "16", to train in.')
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help='Work on a Ray cluster: "auto", HOST:PORT.'),
    ] = None,
    machine: Annotated[
        str | None, typer.Option("--machine", help="What the results say they ran on.")
    ] = None,
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="Judge again what another version judged; trains nothing."),
    ] = False,
    json: Json = False,
) -> None:
    """Train, quantize and judge every combination; [bold]resumable[/], and only what is missing.

    Run it again after an interruption, or twice at once on one folder: the jobs are shared out.
    All results end up in OUT/results.parquet.
    """
    from h2q.experiments.grid import Source, make_grid
    from h2q.experiments.workers import run_grid

    chosen = make_grid(
        grid,
        datasets=None if datasets is None else tuple(Source.parse(text) for text in datasets),
        backbones=None if backbones is None else tuple(Source.parse(text) for text in backbones),
        losses=words(losses),
        quantizations=words(quantizations),
        bits=numbers("--bits", bits, int),
        seeds=numbers("--seeds", seeds, int),
        weights=numbers("--penalty-weights", weights, float),
        top=top,
        epochs=epochs,
        learning_rate=learning_rate,
        image_size=image_size,
        precision=precision,
    )
    total = sum(1 for _ in chosen.trainings())
    ends = itertools.count(1)
    with _console.progress("jobs") as show:

        def ended(job: Any, outcome: str) -> None:
            if outcome in ("done", "failed"):
                _console.note(f"{outcome}: {job.training.title}")
            show(next(ends), total)

        show(0, total)
        summary = run_grid(
            chosen,
            out,
            workers=workers,
            ray=ray,
            machine=machine,
            refresh=refresh,
            on_progress=ended,
        )
    if json:
        _console.print_json({"out": str(out), **summary.__dict__})
    else:
        _console.out().print(
            f"{summary.done} jobs done, {summary.kept} done before, {summary.held} held by other "
            f"workers, {summary.failed} failed -> {out / 'results.parquet'}",
            markup=False,
        )
    if summary.failed:
        _console.fail(f"{summary.failed} jobs failed; h2q paper status {out} says why")
        raise typer.Exit(Exit.ERROR)


@paper.command(epilog=examples("h2q paper status runs/frozen"))
def status(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A run's folder.")],
    json: Json = False,
) -> None:
    """Say how far a run is, and what failed."""
    from h2q.errors import InvalidInputError
    from h2q.experiments.folder import JobFolder

    if not (folder / "jobs").is_dir():
        raise InvalidInputError(f"{folder} is no folder of a run; h2q paper run --out makes one")
    found = JobFolder(folder).status()
    if json:
        _console.print_json(found.__dict__)
        return
    _console.out().print(
        f"{found.finished} of {found.planned} jobs done, {found.running} running, "
        f"{len(found.failures)} failed",
        markup=False,
    )
    for text in found.failures.values():
        lines = text.strip().splitlines()
        _console.out().print(f"failed: {lines[0]}: {lines[-1]}", markup=False)


@paper.command("list", epilog=examples("h2q paper list"))
def list_names() -> None:
    """List the grids and the quantizations by name."""
    from h2q.experiments.grid import PRESETS
    from h2q.experiments.quantizers import QUANTIZATIONS

    grids = [
        [name, ", ".join(grid.losses), ", ".join(map(str, grid.bits)), len(list(grid.trainings()))]
        for name, grid in PRESETS.items()
    ]
    _console.out().print(_console.table(["grid", "losses", "bits", "trainings"], grids))
    rows = [[q.name, q.title.removeprefix("+ "), q.fitted_on] for q in QUANTIZATIONS.values()]
    _console.out().print(_console.table(["quantization", "what", "fitted on"], rows))
