"""`h2q paper table | figures | report`: what the results say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from h2q.cli import _console
from h2q.cli._help import examples
from h2q.cli.paper._shared import Compare, Results, paper, words

Ranking = Annotated[
    str, typer.Option("--rank", help='"hamming", "asymmetric", "embedding" or "cosine".')
]


@paper.command(
    epilog=examples(
        "h2q paper table runs/digits",
        "h2q paper table results.parquet --rank embedding --format latex --out table.tex",
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
    from h2q._files import check_place
    from h2q.errors import InvalidInputError
    from h2q.experiments import compare as comparing
    from h2q.experiments.storage import read_results
    from h2q.experiments.table import FORMATS, make_tables

    if form not in FORMATS:
        raise InvalidInputError(f"unknown format {form!r}; one of {', '.join(FORMATS)}")
    if out is not None:
        check_place(out, results, compare)
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
    from h2q._files import made_folder
    from h2q.experiments.figures import draw_all, save_figure
    from h2q.experiments.storage import read_results

    drawn = draw_all(read_results(results))
    with made_folder(out):
        for name, figure in drawn.items():
            for kind in words(formats) or ():
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
    from h2q._files import check_apart
    from h2q.experiments import pages
    from h2q.experiments.compare import read_published
    from h2q.experiments.report import write_report
    from h2q.experiments.storage import read_results

    check_apart(out, results, compare)
    found = read_results(results)
    published = [] if compare is None else read_published(compare)
    if out.suffix == ".html":
        paths = [write_report(out, found, published)]
    else:
        paths = pages.write_folder(out, found, published)
    for path in paths:
        _console.out().print(str(path), markup=False)


def _write(text: str, out: Path | None) -> None:
    from h2q._files import written_whole

    if out is None:
        typer.echo(text)
        return
    with written_whole(out) as file:
        file.write(text.encode())
    _console.note(f"wrote {out}")
