"""Pictures that explain codes; each returns a matplotlib figure (needs the extra ``plot``)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._lazy import require
from h2q._typing import CodeArray, FloatArray
from h2q.codes import hamming_distances, unpack

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that stay apart for colour-blind readers (Okabe and Ito).
_BLUE: Final = "#0072B2"
_ORANGE: Final = "#D55E00"
_GREEN: Final = "#009E73"
_GREY: Final = "#8A8F98"


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches; no window, no global state."""
    figure: Figure = require("matplotlib.figure", "plot").Figure(
        figsize=(width, height), layout="constrained"
    )
    return figure


def to_png(figure: Figure, dpi: int = 144) -> bytes:
    """Encode a figure as PNG, the same bytes for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def code_bits(
    codes: CodeArray, n_bits: int, labels: NDArray[Any], classes: Sequence[str] | None = None
) -> Figure:
    """Draw codes as rows of black and white, grouped by class.

    Items of a class with alike codes show as vertical stripes.

    Parameters
    ----------
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
    n_bits : int
    labels : ndarray of shape (n,), integer classes
    classes : sequence of str, optional
        Names to write beside the groups.
    """
    order = np.argsort(labels, kind="stable")
    bits = unpack(codes, n_bits)[order]
    figure = new_figure(7.2, 4.6)
    axes = figure.subplots()
    axes.imshow(bits, cmap="binary", aspect="auto", interpolation="nearest")
    found, starts = np.unique(np.asarray(labels)[order], return_index=True)
    ends = [*starts[1:], len(bits)]
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color=_ORANGE, linewidth=0.8)
    names = [str(classes[c]) if classes is not None else str(c) for c in found]
    if len(found) <= 40:
        axes.set_yticks([(a + b - 1) / 2 for a, b in zip(starts, ends, strict=True)], names)
    axes.tick_params(length=0)
    axes.set(xlabel=f"bit (of {n_bits})", ylabel="class", title="Codes, grouped by class")
    return figure


def distance_histogram(
    codes: Mapping[str, CodeArray] | CodeArray,
    n_bits: int,
    labels: NDArray[Any],
    *,
    max_items: int = 2000,
) -> Figure:
    """Draw Hamming distances of similar pairs against those of dissimilar pairs.

    Parameters
    ----------
    codes : ndarray of shape (n, ceil(n_bits / 8)), or a mapping of such by name
        A mapping gives one panel each.
    n_bits : int
    labels : ndarray of shape (n,) or (n, c)
        Two items are similar when they share a label.
    max_items : int
        Only so many items, evenly spread, are paired.
    """
    panels = codes if isinstance(codes, Mapping) else {"": codes}
    places = np.unique(np.linspace(0, len(labels) - 1, min(max_items, len(labels))).astype(int))
    similar = _share_label(np.asarray(labels)[places])
    above = np.triu_indices(len(places), k=1)
    kind = similar[above]
    figure = new_figure(max(4.8, 3.4 * len(panels)), 3.2)
    grid = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, packed) in zip(grid, panels.items(), strict=True):
        distances = hamming_distances(packed[places], packed[places])[above]
        for mask, label, colour in ((kind, "similar", _BLUE), (~kind, "dissimilar", _ORANGE)):
            counts = np.bincount(distances[mask], minlength=n_bits + 1)
            _bars(axes, counts / max(1, counts.sum()), colour, f"{label} pairs")
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("Hamming distance")
        axes.spines[["top", "right"]].set_visible(False)
    grid[0].set_ylabel("share of pairs")
    grid[-1].legend(frameon=False, fontsize=9)
    return figure


def coordinate_histogram(rows: Mapping[str, FloatArray], *, max_values: int = 200_000) -> Figure:
    """Draw the coordinates of embeddings before and after rotation.

    A good rotation moves them to -1 and +1, so that taking the sign loses little.

    Parameters
    ----------
    rows : mapping of str to ndarray of shape (n, k)
        Rows on the sqrt(k) sphere (`quantizer.rotate`), by name; one panel each.
    max_values : int
        Only so many coordinates, evenly spread, are counted.
    """
    figure = new_figure(max(4.8, 3.4 * len(rows)), 3.2)
    grid = figure.subplots(1, len(rows), sharex=True, sharey=True, squeeze=False)[0]
    edges = np.linspace(-3, 3, 101)
    for axes, (name, block) in zip(grid, rows.items(), strict=True):
        values = np.asarray(block, dtype=np.float64).ravel()
        values = values[:: max(1, len(values) // max_values)]
        error = float(np.mean((np.abs(np.asarray(block, dtype=np.float64)) - 1) ** 2))
        axes.hist(np.clip(values, -3, 3), bins=edges, density=True, color=_BLUE, alpha=0.85)
        for place in (-1, 1):
            axes.axvline(place, color=_ORANGE, linewidth=1.2, linestyle="--")
        axes.set_title(f"{name}\nerror {error:.3f}", fontsize=10)
        axes.set_xlabel("coordinate")
        axes.spines[["top", "right"]].set_visible(False)
    grid[0].set_ylabel("density")
    return figure


def ranking_scores(scores: Mapping[str, Mapping[str, float]], bound: float, metric: str) -> Figure:
    """Draw the mean average precision of each method as points, one a ranking.

    Parameters
    ----------
    scores : mapping of method to mapping of ranking to mAP (a fraction)
    bound : float
        The cosine bound, drawn as a line.
    metric : str
        What the axis is called.
    """
    figure = new_figure(7.2, 0.55 * len(scores) + 1.4)
    axes = figure.subplots()
    names = list(scores)
    markers = {"hamming": ("o", _BLUE), "asymmetric": ("s", _GREEN), "embedding": ("^", _ORANGE)}
    # A little above or below the line, so that equal values do not hide each other.
    for shift, (ranking, (marker, colour)) in zip((-0.15, 0, 0.15), markers.items(), strict=True):
        points = [
            (100 * s[ranking], place + shift)
            for place, s in enumerate(scores.values())
            if ranking in s
        ]
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, marker, color=colour, label=ranking, markersize=8, alpha=0.9)
    axes.axvline(100 * bound, color=_GREY, linestyle="--", label="real embeddings, cosine")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(y=0.2)
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{metric}, percent")
    axes.legend(frameon=False, fontsize=9, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def _bars(axes: Axes, shares: FloatArray, colour: str, label: str) -> None:
    axes.bar(np.arange(len(shares)), shares, width=1.0, color=colour, alpha=0.6, label=label)


def _share_label(labels: NDArray[Any]) -> NDArray[np.bool_]:
    if labels.ndim == 1:
        return np.asarray(labels[:, None] == labels[None, :])
    hot = labels.astype(np.float32)
    return np.asarray((hot @ hot.T) > 0)
