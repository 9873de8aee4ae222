"""`h2q paper`: the paper's experiment, its tables, figures and report."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated, Any

import typer

from h2q.cli import _console
from h2q.cli._exit import Exit
from h2q.cli._help import Json, Seed, examples

paper = typer.Typer(
    no_args_is_help=True,
    help="The paper's experiment: run it, and make its tables, figures and report.",
)

Results = Annotated[
    Path, typer.Argument(metavar="RESULTS", help="A results file (.parquet), or a run's folder.")
]
Ranking = Annotated[
    str, typer.Option("--ranking", help='"hamming", "asymmetric", "embedding" or "cosine".')
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


def _listed(name: str, text: str) -> Any:
    return typer.Option(name, metavar="A,B,...", help=text)


@paper.command(
    epilog=examples(
        "h2q paper run --grid digits --out runs/digits",
        "h2q paper run --grid frozen --datasets cifar10=npz:features/cifar10.npz "
        "--backbones mobilenetv2=features --bits 16,64 --workers 2 --out runs/frozen",
        "h2q paper run --grid paper --ray auto --out runs/paper",
    )
)
def run(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")],
    grid: Annotated[
        str, typer.Option("--grid", help='"digits" (a minute), "frozen" (features), "paper".')
    ] = "digits",
    datasets: Annotated[
        list[str] | None,
        typer.Option("--datasets", metavar="NAME=SPEC", help="A data set; may be repeated."),
    ] = None,
    backbones: Annotated[
        list[str] | None,
        typer.Option("--backbones", metavar="NAME=SPEC", help="A backbone; may be repeated."),
    ] = None,
    losses: Annotated[str | None, _listed("--losses", "Losses.")] = None,
    quantizations: Annotated[
        str | None, _listed("--quantizations", "Quantizations; h2q paper list names them.")
    ] = None,
    bits: Annotated[str | None, _listed("--bits", "Lengths of the codes.")] = None,
    seeds: Annotated[str | None, _listed("--seeds", "Seeds.")] = None,
    weights: Annotated[
        str | None, _listed("--weights", "Candidates for the weight of a penalty.")
    ] = None,
    top: Annotated[int | None, typer.Option("--top", "-k", min=1, help="Cut-off of mAP@k.")] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Of every training.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Of the hash layer.")
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", "-j", min=1, help="Processes of this machine.")
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help='Work on a Ray cluster: "auto", HOST:PORT.'),
    ] = None,
    machine: Annotated[
        str | None, typer.Option("--machine", help="What the results say they ran on.")
    ] = None,
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
        losses=_words(losses),
        quantizations=_words(quantizations),
        bits=_numbers("--bits", bits, int),
        seeds=_numbers("--seeds", seeds, int),
        weights=_numbers("--weights", weights, float),
        top=top,
        epochs=epochs,
        learning_rate=learning_rate,
    )
    total = sum(1 for _ in chosen.trainings())
    ends = itertools.count(1)
    with _console.progress("jobs") as show:

        def ended(job: Any, outcome: str) -> None:
            if outcome in ("done", "failed"):
                _console.note(f"{outcome}: {job.training.title}")
            show(next(ends), total)

        summary = run_grid(chosen, out, workers=workers, ray=ray, machine=machine, progress=ended)
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
    from h2q.datasets import load_dataset
    from h2q.experiments.features import extract_features

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


@paper.command(
    epilog=examples(
        "h2q paper table runs/digits",
        "h2q paper table results.parquet --ranking embedding --format latex --out table.tex",
        "h2q paper table results.parquet --compare paper_results.csv",
    )
)
def table(
    results: Results,
    ranking: Ranking = "hamming",
    metric: Annotated[
        str, typer.Option("--metric", help='"mAP", or the name of another metric of the ranking.')
    ] = "mAP",
    form: Annotated[
        str, typer.Option("--format", help='"markdown", "latex" or "html".')
    ] = "markdown",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write it; stdout if not given.")
    ] = None,
    compare: Compare = None,
) -> None:
    """Print the paper's tables: mean and spread over seeds, best bold, worse than none red."""
    from h2q.errors import InvalidInputError
    from h2q.experiments import compare as comparing
    from h2q.experiments.storage import read_results
    from h2q.experiments.table import FORMATS, make_tables

    if form not in FORMATS:
        raise InvalidInputError(f"unknown format {form!r}; one of {', '.join(FORMATS)}")
    found = read_results(results)
    parts = [one.render(form) for one in make_tables(found, ranking=ranking, metric=metric)]
    if compare is not None:
        pairs = comparing.compare(found, comparing.read_published(compare))
        parts.append(comparing.render_comparison(pairs))
    _write("\n".join(parts), out)


@paper.command(epilog=examples("h2q paper figures results.parquet --out figures --formats svg,pdf"))
def figures(
    results: Results,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write them to.")],
    formats: Annotated[str, typer.Option("--formats", help='Of "svg", "pdf", "png".')] = "svg,pdf",
) -> None:
    """Draw gain over none and error by bits, the four objectives, and the times."""
    from h2q.experiments.figures import draw_all, save_figure
    from h2q.experiments.storage import read_results

    drawn = draw_all(read_results(results))
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        for kind in _words(formats) or ():
            path = save_figure(figure, out / f"{name}.{kind}")
            _console.out().print(str(path), markup=False)


@paper.command(
    epilog=examples(
        "h2q paper report results.parquet --out report.html",
        "h2q paper report results.parquet --compare paper_results.csv --out docs/results",
    )
)
def report(
    results: Results,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="An .html file; or a folder, for page, tables and figures."
        ),
    ],
    compare: Compare = None,
) -> None:
    """Write one HTML page that stands alone; into a folder, also Markdown tables and SVGs."""
    from h2q.experiments import pages
    from h2q.experiments.compare import read_published
    from h2q.experiments.report import write_report
    from h2q.experiments.storage import read_results

    found = read_results(results)
    published = [] if compare is None else read_published(compare)
    if out.suffix == ".html":
        paths = [write_report(out, found, published)]
    else:
        paths = pages.write_folder(out, found, published)
    for path in paths:
        _console.out().print(str(path), markup=False)


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


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(word for word in text.replace(",", " ").split())


def _numbers(option: str, text: str | None, kind: type[int] | type[float]) -> Any:
    from h2q.errors import InvalidInputError

    words = _words(text)
    try:
        return None if words is None else tuple(kind(word) for word in words)
    except ValueError as error:
        raise InvalidInputError(f"{option} {text}: expected numbers, as in 16,64") from error


def _write(text: str, out: Path | None) -> None:
    from h2q._files import written_whole

    if out is None:
        typer.echo(text)
        return
    with written_whole(out) as file:
        file.write(text.encode())
    _console.note(f"wrote {out}")
