"""Everything that is made from a results file, in one folder: page, tables, figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from h2q._files import written_whole
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.experiments import intervals
from h2q.experiments.claims import GAP_HEADER, HURT_HEADER, RANKINGS, gap_rows, hurt_rows
from h2q.experiments.compare import Published, compare, render_comparison
from h2q.experiments.figures import draw_all, save_figure
from h2q.experiments.report import difference_rows, weight_rows, write_report
from h2q.experiments.results import Result
from h2q.experiments.table import make_tables


def write_folder(
    folder: StrPath, results: Sequence[Result], published: Sequence[Published] = ()
) -> list[Path]:
    """Write ``report.html``, ``tables.md``, ``comparisons.md`` and ``figures/*.svg``.

    Returns
    -------
    list of Path
        The files written.
    """
    place = as_path(folder)
    (place / "figures").mkdir(parents=True, exist_ok=True)
    paths = [
        _write(place / "tables.md", tables_page(results)),
        _write(place / "comparisons.md", comparisons_page(results, published)),
    ]
    for name, figure in draw_all(results).items():
        paths.append(save_figure(figure, place / "figures" / f"{name}.svg"))
    return [*paths, write_report(place / "report.html", results, published)]


def tables_page(results: Sequence[Result]) -> str:
    """All tables in Markdown, a section a ranking."""
    parts = ["# Tables", "", "Made by `h2q paper report` from the results file; not by hand.", ""]
    for ranking in RANKINGS:
        parts += [f"## Ranking: {ranking}", ""]
        parts += [one.render("markdown") for one in make_tables(results, ranking=ranking)]
    return "\n".join(parts)


def comparisons_page(results: Sequence[Result], published: Sequence[Published]) -> str:
    """Paired differences, lambdas and published figures in Markdown."""
    header, rows = difference_rows(results)
    parts = ["# Comparisons", "", "Made by `h2q paper report` from the results file; not by hand."]
    parts += ["", "## Paired differences of mAP, in points", "", intervals.METHOD, ""]
    parts += _table(header, rows)
    parts += ["", "## Where a rotation or a penalty hurt", ""]
    parts += ["Mean over seeds below that of none; the worst case and by how much.", ""]
    parts += _table(HURT_HEADER, hurt_rows(results))
    parts += ["", "## Distance to the cosine bound, in points", ""]
    parts += _table(GAP_HEADER, gap_rows(results))
    weights = weight_rows(results)
    if weights:
        parts += ["", "## Lambda, chosen on validation", ""]
        parts += _table(["quantization", "lambda", "cases"], weights)
    if published:
        pairs = compare(results, published)
        parts += ["", "## Beside the published figures", "", render_comparison(pairs)]
    return "\n".join([*parts, ""])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _write(path: Path, text: str) -> Path:
    with written_whole(path) as file:
        file.write(text.encode())
    return path
