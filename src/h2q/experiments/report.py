"""One HTML page with the tables, the figures and the paired comparisons; it stands alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from h2q._typing import StrPath
from h2q.experiments import intervals, table
from h2q.experiments.claims import GAP_HEADER, HURT_HEADER, RANKINGS, gap_rows, hurt_rows
from h2q.experiments.compare import Published, compare
from h2q.experiments.figures import draw_all
from h2q.experiments.quantizers import QUANTIZATIONS
from h2q.experiments.results import Result
from h2q.experiments.summary import chosen_weights
from h2q.reports.page import Page
from h2q.reports.pictures import to_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: What is compared with what: the paper's claims, then this project's aim.
PAIRS: Final = (
    ("h2q", "none"),
    ("h2q-l2", "none"),
    ("itq", "none"),
    ("random", "none"),
    ("h2q", "penalty"),
    ("h2q", "hswd"),
    ("h2q", "itq"),
    ("h2q", "h2q-l2"),
    ("h2q-db", "itq-db"),
    ("h2q-db", "h2q"),
)
_CAPTIONS: Final = {
    "gain_by_bits": "Gain over the plain signs, mean over the losses and seeds of each length.",
    "quantization_error_by_bits": "Mean of (|z| - 1)² over the database's rotated rows.",
    "objectives": "The paper's four objectives (SGD) and the graduated solver.",
    "training_time": "Processor time; a penalty pays for its search over lambda.",
}


class _ResultsPage(Page):
    def markup(self, text: str) -> None:
        """Add markup that is already escaped."""
        self._parts.append(text)


def differences(results: Sequence[Result]) -> list[tuple[str, intervals.Difference]]:
    """Return every pair of `PAIRS` in every ranking that the results allow."""
    found = []
    for ranking in RANKINGS:
        for first, second in PAIRS:
            difference = intervals.paired_difference(results, first, second, ranking=ranking)
            if difference is not None:
                found.append((ranking, difference))
    return found


def difference_rows(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of paired differences, in points of mAP."""
    header = ["first - second", "ranking", "points", "95 % interval", "ahead in", "cases", "pairs"]
    rows = [
        [
            f"{d.first} - {d.second}",
            ranking,
            f"{100 * d.mean:+.2f}",
            f"{100 * d.low:+.2f} to {100 * d.high:+.2f}",
            f"{100 * d.wins:.0f} %",
            str(d.n_cases),
            str(d.n_pairs),
        ]
        for ranking, d in differences(results)
    ]
    return header, rows


def weight_rows(results: Sequence[Result]) -> list[list[str]]:
    """How often each lambda was chosen on validation, by penalised quantization."""
    counts = Counter((name, weight) for (_, name), weight in chosen_weights(results).items())
    return [
        [QUANTIZATIONS[name].title, f"{w:g}", str(n)] for (name, w), n in sorted(counts.items())
    ]


def write_report(
    path: StrPath, results: Sequence[Result], published: Sequence[Published] = ()
) -> Path:
    """Write the page, whole or not at all.

    Parameters
    ----------
    path : path-like
    results : sequence of Result
    published : sequence of Published
        Figures to put beside ours; none, no section.
    """
    page = _ResultsPage("Deep hashing experiments", _subtitle(results))
    page.markup(f"<style>{table.STYLE}</style>")
    page.heading("Paired comparisons")
    page.text(intervals.METHOD)
    header, rows = difference_rows(results)
    page.table(header, rows)
    page.heading("Where a rotation or a penalty hurt")
    page.table(HURT_HEADER, hurt_rows(results))
    page.heading("Distance to the cosine bound, in points")
    page.table(GAP_HEADER, gap_rows(results))
    for name, figure in draw_all(results).items():
        page.heading(_CAPTIONS[name])
        _add_figure(page, figure, _CAPTIONS[name])
    for ranking in RANKINGS:
        page.heading(f"mAP, {ranking} ranking")
        for one in table.make_tables(results, ranking=ranking):
            page.markup(f'<div class="scroll">{one.render("html")}</div>')
    weights = weight_rows(results)
    if weights:
        page.heading("Lambda, chosen on validation")
        page.table(["quantization", "lambda", "cases"], weights)
    pairs = compare(results, published)
    if pairs:
        page.heading("Beside the published figures")
        page.table(
            ["case", "quantization", "ours", "published", "not the same"],
            [
                [
                    f"{p.case.dataset} {p.case.loss} {p.case.bits}",
                    p.quantization,
                    f"{p.ours:.1f}",
                    f"{p.published:.1f} ({p.published_backbone})",
                    "; ".join(p.differences) or "nothing",
                ]
                for p in pairs
            ],
        )
    page.heading("How it was run")
    page.table(["what", "value"], _facts(results))
    return page.write(path)


def _add_figure(page: _ResultsPage, figure: Figure, alt: str) -> None:
    page.picture(to_png(figure, dpi=110), alt=alt)


def _subtitle(results: Sequence[Result]) -> str:
    datasets = sorted({r.dataset for r in results})
    return f"{', '.join(datasets)}: {len({r.job for r in results})} trainings"


def _facts(results: Sequence[Result]) -> list[list[str]]:
    def values(*names: str) -> str:
        found = sorted({tuple(getattr(r, name) for name in names) for r in results})
        return "; ".join(" ".join(str(part) for part in each) for each in found)

    return [
        ["losses", values("loss")],
        ["seeds", values("seed")],
        [
            "data (name, train, query, database)",
            values("dataset", "n_train", "n_query", "n_database"),
        ],
        ["training (epochs, batch, rate)", values("epochs", "batch_size", "learning_rate")],
        ["backbone frozen", values("freeze_backbone")],
        ["machine", values("machine")],
        ["versions (h2q, numpy, torch, python)", values("h2q", "numpy", "torch", "python")],
        ["finished", f"{min(r.finished for r in results)} to {max(r.finished for r in results)}"],
    ]
