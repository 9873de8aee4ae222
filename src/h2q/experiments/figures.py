"""The paper's figures from the results: gain over none, errors, objectives, times (SVG, PDF)."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from h2q._files import written_whole
from h2q._lazy import require
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.errors import InvalidInputError
from h2q.experiments.quantizers import QUANTIZATIONS
from h2q.experiments.results import Result
from h2q.experiments.summary import Case, Cell, Cells, cells
from h2q.reports.pictures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito: apart for colour-blind readers; one colour a quantization in every figure.
_COLOURS: Final = {
    "none": "#8A8F98",
    "random": "#000000",
    "itq": "#E69F00",
    "itq-db": "#E69F00",
    "h2q": "#0072B2",
    "h2q-db": "#0072B2",
    "h2q-l2": "#56B4E9",
    "h2q-l1": "#009E73",
    "h2q-minentry": "#CC79A7",
    "h2q-bitvar": "#F0E442",
    "penalty": "#D55E00",
    "hswd": "#A0522D",
}
_OBJECTIVES: Final = ("h2q-l2", "h2q-l1", "h2q-minentry", "h2q-bitvar")
_MARKERS: Final = "os^Dv<>P*Xhp"


def gain_by_bits(results: Sequence[Result], *, ranking: str = "hamming") -> Figure:
    """Draw mAP minus that of no rotation, in points, mean over losses and seeds, by bits."""
    found = cells(results, metric="mAP", ranking=ranking)
    return _by_bits(
        found,
        [name for name in QUANTIZATIONS if name != "none"],
        lambda row, name: 100 * (row[name].mean - row["none"].mean) if "none" in row else None,
        f"gain over none, points of mAP ({ranking})",
        zero=True,
    )


def error_by_bits(results: Sequence[Result], *, split: str = "database") -> Figure:
    """Draw the L2 quantization error, mean over losses and seeds, by bits."""
    found = cells(results, metric="quantization_error", split=split)
    return _by_bits(
        found, list(QUANTIZATIONS), lambda row, name: row[name].mean, f"quantization error, {split}"
    )


def objectives(results: Sequence[Result], *, ranking: str = "hamming") -> Figure:
    """Draw the paper's four objectives against the graduated solver: gain over none, by bits."""
    found = cells(results, metric="mAP", ranking=ranking)
    found = {case: row for case, row in found.items() if sum(n in row for n in _OBJECTIVES) > 1}
    return _by_bits(
        found,
        [*_OBJECTIVES, "h2q"],
        lambda row, name: 100 * (row[name].mean - row["none"].mean) if "none" in row else None,
        f"gain over none, points of mAP ({ranking})",
        zero=True,
    )


def times(results: Sequence[Result]) -> Figure:
    """Draw the processor time of each way to good codes, as a multiple of training alone.

    A penalty costs the whole search over lambda; a rotation costs one training and its own fit.
    """
    training = cells(results, metric="training_cpu_seconds", split="train")
    fitting = cells(results, metric="quantizer_cpu_seconds", split="train")
    n_weights = _weights_tried(results)
    shares: dict[str, list[float]] = {}
    for case, row in training.items():
        if "none" not in row or row["none"].mean == 0:  # embeddings learned elsewhere
            continue
        alone = row["none"].mean
        for name, cell in row.items():
            n_runs = n_weights.get((case, name), 1)
            shares.setdefault(name, []).append(
                (n_runs * cell.mean + fitting[case][name].mean) / alone
            )
    if not shares:
        raise InvalidInputError("these results hold no training without a penalty to compare with")
    names = [name for name in QUANTIZATIONS if name in shares]
    figure = new_figure(7.2, 0.42 * len(names) + 1.2)
    axes = figure.subplots()
    values = [statistics.fmean(shares[name]) for name in names]
    bars = axes.barh(
        [QUANTIZATIONS[name].title for name in names],
        values,
        color=[_COLOURS[name] for name in names],
    )
    axes.bar_label(bars, [f"{value:.2f} x" for value in values], padding=3, fontsize=9)
    axes.axvline(1, color="#8A8F98", linestyle="--", linewidth=1)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("processor time, training and quantizer, as a multiple of training alone")
    _plain(axes)
    return figure


#: File name to figure.
FIGURES: Final[Mapping[str, Callable[[Sequence[Result]], Figure]]] = {
    "gain_by_bits": gain_by_bits,
    "quantization_error_by_bits": error_by_bits,
    "objectives": objectives,
    "training_time": times,
}


def draw_all(results: Sequence[Result]) -> dict[str, Figure]:
    """Draw every figure the results have the numbers for, by name."""
    figures = {}
    for name, draw in FIGURES.items():
        try:
            figures[name] = draw(results)
        except InvalidInputError:
            continue  # e.g. no run of the four objectives: there is nothing to draw
    if not figures:
        raise InvalidInputError("these results hold nothing a figure could be drawn of")
    return figures


def save_figure(figure: Figure, path: StrPath) -> Path:
    """Write a figure as its suffix says (.svg, .pdf, .png); the same bytes for the same figure."""
    target = as_path(path)
    kind = target.suffix.lstrip(".")
    if kind not in ("svg", "pdf", "png"):
        raise InvalidInputError(f"{target.name}: figures are written as .svg, .pdf or .png")
    dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    matplotlib = require("matplotlib", "plot")
    with matplotlib.rc_context({"svg.hashsalt": "h2q"}), written_whole(target) as file:
        figure.savefig(file, format=kind, metadata=dated[kind])
    return target


def _weights_tried(results: Sequence[Result]) -> dict[tuple[Case, str], int]:
    tried: dict[tuple[Case, str], set[float]] = {}
    for r in results:
        if r.penalty_weight:
            tried.setdefault((Case(*r.case), r.quantization), set()).add(r.penalty_weight)
    return {key: len(weights) for key, weights in tried.items()}


def _by_bits(
    found: Cells,
    names: Sequence[str],
    value: Callable[[Mapping[str, Cell], str], float | None],
    label: str,
    *,
    zero: bool = False,
) -> Figure:
    """One panel a data set and backbone, one line a quantization, mean over the losses.

    Only losses count that have every drawn quantization at every length of the panel, so that no
    point is of easier cases than another. Quantizations that were run at some lengths only, or for
    less than half of the losses, are named below the panel and not drawn.
    """
    panels = sorted({(case.dataset, case.backbone) for case in found})
    present = {
        panel: [
            name
            for name in names
            if any(name in row for c, row in found.items() if (c.dataset, c.backbone) == panel)
        ]
        for panel in panels
    }
    panels = [panel for panel in panels if present[panel]]
    if not panels or not any(len(p) > 0 for p in present.values()):
        raise InvalidInputError(f"these results hold nothing for {label!r}")
    figure = new_figure(3.9 * len(panels) + 1.6, 3.6)
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(grid, panels, strict=True):
        mine = {c: row for c, row in found.items() if (c.dataset, c.backbone) == panel}
        drawn = _drawable(mine, present[panel])
        losses = _complete_losses(mine, drawn)
        for place, name in enumerate(names):
            points = _points(mine, name, losses, value) if name in drawn else []
            if points:
                axes.plot(
                    *zip(*points, strict=True),
                    color=_COLOURS[name],
                    marker=_MARKERS[place % len(_MARKERS)],
                    linestyle="--" if name.endswith("-db") else "-",
                    label=QUANTIZATIONS[name].title,
                )
        if zero:
            axes.axhline(0, color="#8A8F98", linewidth=1)
        left_out = [QUANTIZATIONS[name].title for name in present[panel] if name not in drawn]
        note = "\n".join(["bits", *(f"in part only: {title}" for title in left_out)])
        axes.set(title=f"{panel[0]}, {panel[1]}\nlosses: {len(losses)}", xlabel=note)
        axes.set_xticks(sorted({case.bits for case in mine}))
        _plain(axes)
    grid[0].set_ylabel(label)
    handles = {
        text: handle
        for axes in grid
        for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        list(handles.values()), list(handles), loc="outside right upper", frameon=False, fontsize=8
    )
    return figure


def _drawable(rows: Mapping[Case, Mapping[str, Cell]], names: Sequence[str]) -> list[str]:
    """Quantizations that at least half as many losses have at every length as have any."""
    losses = {name: len(_complete_losses(rows, [name])) for name in names}
    most = max(losses.values(), default=0)
    return [name for name in names if losses[name] > 0 and 2 * losses[name] >= most]


def _complete_losses(rows: Mapping[Case, Mapping[str, Cell]], wanted: Sequence[str]) -> set[str]:
    lengths = {case.bits for case in rows}
    found: dict[str, set[int]] = {}
    for case, row in rows.items():
        if all(name in row for name in wanted):
            found.setdefault(case.loss, set()).add(case.bits)
    return {loss for loss, bits in found.items() if bits == lengths}


def _points(
    rows: Mapping[Case, Mapping[str, Cell]],
    name: str,
    losses: set[str],
    value: Callable[[Mapping[str, Cell], str], float | None],
) -> list[tuple[int, float]]:
    points = []
    for bits in sorted({case.bits for case in rows}):
        mine = [row for case, row in rows.items() if case.bits == bits and case.loss in losses]
        values = [v for row in mine if name in row and (v := value(row, name)) is not None]
        if values:
            points.append((bits, statistics.fmean(values)))
    return points


def _plain(axes: Any) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
