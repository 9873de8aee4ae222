"""The paper's tables: mean and spread over seeds, as Markdown, LaTeX and HTML."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from h2q.errors import InvalidInputError
from h2q.experiments.quantizers import QUANTIZATIONS
from h2q.experiments.results import Result
from h2q.experiments.summary import Case, Cell, Cells, bound, cells

Format = Literal["markdown", "latex", "html"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
_BOUND: Final = "real embeddings, cosine (bound)"


@dataclass(frozen=True)
class Entry:
    """What stands in one place of a table.

    Attributes
    ----------
    text : str
        "76.1 ± 0.4", or "" where nothing was measured.
    best : bool
        The best of its loss and length; set bold.
    worse : bool
        Below the mean of "none"; set red (a ▾ in Markdown, which has no colours).
    """

    text: str
    best: bool = False
    worse: bool = False


@dataclass(frozen=True)
class Table:
    """One data set and backbone: rows of loss and quantization, a column a length.

    Attributes
    ----------
    title, note : str
    bits : tuple of int
    groups : tuple of (str, tuple of (str, tuple of Entry))
        Rows by loss.
    """

    title: str
    note: str
    bits: tuple[int, ...]
    groups: tuple[tuple[str, tuple[tuple[str, tuple[Entry, ...]], ...]], ...]

    def render(self, form: Format = "markdown") -> str:
        """Return the table as text in that format."""
        return _RENDERERS[form](self)


def make_tables(
    results: Sequence[Result], *, ranking: str = "hamming", metric: str = "mAP"
) -> list[Table]:
    """Build one table for each data set and backbone.

    Parameters
    ----------
    results : sequence of Result
    ranking, metric : str
        As in `h2q.experiments.summary.cells`. Fractions are shown in percent.

    Raises
    ------
    InvalidInputError
        If the results hold no such figure.
    """
    found = cells(results, metric=metric, ranking=ranking)
    if not found:
        known = sorted({r.ranking for r in results if r.split == "query"})
        raise InvalidInputError(
            f"no {metric} of the ranking {ranking!r} in these results; rankings: {', '.join(known)}"
        )
    limits = bound(results) if metric == "mAP" else {}
    cut = {r.metric for r in results if r.ranking == ranking and r.metric.startswith("mAP@")}
    name = "/".join(sorted(c for c in cut if "r<" not in c)) if metric == "mAP" else metric
    return [
        _table(dataset, backbone, found, limits, f"{name}, {ranking} ranking, percent")
        for dataset, backbone in sorted({(case.dataset, case.backbone) for case in found})
    ]


def _table(dataset: str, backbone: str, found: Cells, limits: dict[Case, Cell], what: str) -> Table:
    mine = {c: row for c, row in found.items() if (c.dataset, c.backbone) == (dataset, backbone)}
    bits = tuple(sorted({case.bits for case in mine}))
    seeds = sorted({seed for row in mine.values() for c in row.values() for seed in c.by_seed})
    groups = []
    for loss in sorted({case.loss for case in mine}):
        columns = [mine.get(Case(dataset, backbone, loss, b), {}) for b in bits]
        rows = [
            (QUANTIZATIONS[name].title, tuple(_entry(name, column) for column in columns))
            for name in QUANTIZATIONS
            if any(name in column for column in columns)
        ]
        top = [limits.get(Case(dataset, backbone, loss, b)) for b in bits]
        if any(top):
            rows.append((_BOUND, tuple(Entry(_text(cell)) for cell in top)))
        groups.append((loss, tuple(rows)))
    note = (
        f"{what}; mean ± standard deviation over {len(seeds)} seed{'s' if len(seeds) != 1 else ''}"
        " (fewer where a number has none beside it). Bold: best of its loss and length; "
        "red (▾ in Markdown): below none."
    )
    return Table(f"{dataset}, {backbone}", note, bits, tuple(groups))


def _entry(name: str, column: dict[str, Cell]) -> Entry:
    if name not in column:
        return Entry("")
    cell = column[name]
    best = max(other.mean for other in column.values())
    none = column.get("none")
    return Entry(
        _text(cell),
        best=cell.mean == best and len(column) > 1,
        worse=none is not None and cell.mean < none.mean,
    )


def _text(cell: Cell | None) -> str:
    if cell is None:
        return ""
    mean = f"{100 * cell.mean:.1f}"
    return mean if cell.spread is None else f"{mean} ± {100 * cell.spread:.1f}"


def _markdown(table: Table) -> str:
    def show(entry: Entry) -> str:
        text = f"**{entry.text}**" if entry.best else entry.text
        return f"{text} ▾" if entry.worse else text

    head = ["loss", "quantization", *(f"{b} bits" for b in table.bits)]
    lines = [
        f"### {table.title}",
        "",
        _line(head),
        _line(["---", "---", *["--:"] * len(table.bits)]),
    ]
    for loss, rows in table.groups:
        for place, (name, entries) in enumerate(rows):
            lines.append(_line([loss if place == 0 else "", name, *map(show, entries)]))
    return "\n".join([*lines, "", table.note, ""])


def _line(words: Sequence[str]) -> str:
    return "| " + " | ".join(words) + " |"


_TEX: Final = str.maketrans(
    {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "²": "$^2$", "±": r"$\pm$", "▾": "", "+": "+"}
)


def _latex(table: Table) -> str:
    def show(entry: Entry) -> str:
        text = entry.text.translate(_TEX)
        text = rf"\textbf{{{text}}}" if entry.best else text
        return rf"\textcolor{{red}}{{{text}}}" if entry.worse else text

    note = table.note.replace(" (▾ in Markdown)", "").translate(_TEX)
    lines = [
        "% needs \\usepackage{booktabs,xcolor}",
        r"\begin{table}",
        rf"\caption{{{table.title.translate(_TEX)}. {note}}}",
        rf"\begin{{tabular}}{{ll{'r' * len(table.bits)}}}",
        r"\toprule",
        " & ".join(["loss", "quantization", *(f"{b} bits" for b in table.bits)]) + r" \\",
    ]
    for loss, rows in table.groups:
        lines.append(r"\midrule")
        for place, (name, entries) in enumerate(rows):
            first = loss.translate(_TEX) if place == 0 else ""
            cells_ = [first, name.translate(_TEX), *map(show, entries)]
            lines.append(" & ".join(cells_) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _html(table: Table) -> str:
    def show(entry: Entry) -> str:
        kinds = [name for name in ("best", "worse") if getattr(entry, name)]
        kind = f' class="{" ".join(kinds)}"' if kinds else ""
        return f"<td{kind}>{html.escape(entry.text)}</td>"

    head = "".join(f'<th scope="col">{b} bits</th>' for b in table.bits)
    body = []
    for loss, rows in table.groups:
        for place, (name, entries) in enumerate(rows):
            first = f'<th scope="rowgroup" rowspan="{len(rows)}">{html.escape(loss)}</th>'
            body.append(
                f"<tr>{first if place == 0 else ''}<td>{html.escape(name)}</td>"
                f"{''.join(map(show, entries))}</tr>"
            )
    return (
        f'<table class="results"><caption>{html.escape(table.title)}. '
        f"{html.escape(table.note.replace(' (▾ in Markdown)', ''))}</caption>"
        f'<thead><tr><th scope="col">loss</th><th scope="col">quantization</th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>\n"
    )


#: Style of the HTML tables.
STYLE: Final = (
    "table.results td.best{font-weight:700} table.results td.worse{color:#c5221f} "
    "table.results tbody th{vertical-align:top;text-align:left}"
)
_RENDERERS: Final[dict[str, Callable[[Table], str]]] = {
    "markdown": _markdown,
    "latex": _latex,
    "html": _html,
}
