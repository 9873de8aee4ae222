"""The paper's tables: mean and spread over seeds, as Markdown, LaTeX and HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from h2q._lazy import require
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

    def frame(self, show: Callable[[Entry], str] = lambda entry: entry.text) -> Any:
        """Return the table as a data frame of texts, indexed by loss and quantization.

        Parameters
        ----------
        show : callable
            What stands for an entry.
        """
        pandas = require("pandas", "paper")
        index = [(loss, name) for loss, rows in self.groups for name, _ in rows]
        return pandas.DataFrame(
            [[show(entry) for entry in entries] for _, rows in self.groups for _, entries in rows],
            index=pandas.MultiIndex.from_tuples(index, names=["loss", "quantization"]),
            columns=[f"{b} bits" for b in self.bits],
        )

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


_KINDS: Final = {"best": "textbf:--rwrap", "worse": "textcolor:{red}--rwrap"}


def _kinds(entry: Entry) -> list[str]:
    return [name for name in _KINDS if getattr(entry, name)]


def _styled(table: Table, escape: str) -> Any:
    return table.frame().style.format(escape=escape).format_index(escape=escape)


def _latex(table: Table) -> str:
    note = table.note.replace(" (▾ in Markdown)", "")
    caption = f"{table.title}. {note}".translate(_TEX)
    marks = table.frame(lambda entry: ";".join(_KINDS[name] for name in _kinds(entry)))
    text: str = (
        _styled(table, "latex")
        .apply(lambda _: marks, axis=None)
        .to_latex(
            caption=caption,
            clines="skip-last;data",
            column_format="ll" + "r" * len(table.bits),
            hrules=True,
            multirow_align="t",
        )
    )
    text = text.replace("±", r"$\pm$").replace("²", "$^2$")
    return f"% needs \\usepackage{{booktabs,multirow,xcolor}}\n{text}"


#: What is special in a caption; pandas sees to the cells.
_TEX: Final = str.maketrans({sign: f"\\{sign}" for sign in "&%_#$"})


def _html(table: Table) -> str:
    caption = html.escape(f"{table.title}. {table.note.replace(' (▾ in Markdown)', '')}")
    text: str = (
        _styled(table, "html")
        .set_caption(caption)
        .set_table_attributes('class="results"')
        .set_td_classes(table.frame(lambda entry: " ".join(_kinds(entry))))
        .set_uuid(re.sub(r"\W+", "-", table.title))
        .to_html(cell_ids=False)
    )
    return text


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
