"""Pictures for papers and notebooks; each returns a matplotlib figure (extra ``plot``).

Codes as a heat map by class, histograms of coordinates and of distances are in
`h2q.reports.pictures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from h2q._typing import FloatArray
from h2q.errors import InvalidInputError
from h2q.evaluation import Curve
from h2q.reports.pictures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GOOD: Final = "#009E73"
_BAD: Final = "#D55E00"
_GREY: Final = "#8A8F98"


def rotation_scatter(
    rows: Mapping[str, FloatArray],
    labels: NDArray[Any],
    *,
    bits: tuple[int, int] = (0, 1),
    max_points: int = 2000,
) -> Figure:
    """Draw two coordinates of embeddings before and after rotation.

    A good rotation moves the points to the four corners, where taking signs loses nothing.

    Parameters
    ----------
    rows : mapping of str to ndarray of shape (n, k)
        Rows on the sqrt(k) sphere (`quantizer.rotate`), by name; one panel each.
    labels : ndarray of shape (n,) or (n, c)
        Colour: the class, or the first label.
    bits : tuple of int
        Which two coordinates.
    max_points : int
        Only so many, evenly spread, are drawn.
    """
    if not rows:
        raise InvalidInputError("there are no rows to draw")
    classes = labels if labels.ndim == 1 else labels.argmax(axis=1)
    places = np.unique(np.linspace(0, len(classes) - 1, min(max_points, len(classes))).astype(int))
    figure = new_figure(3.3 * len(rows), 3.5)
    grid = figure.subplots(1, len(rows), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, block) in zip(grid, rows.items(), strict=True):
        if max(bits) >= block.shape[1]:
            raise InvalidInputError(f"{name} has {block.shape[1]} coordinates, not bit {max(bits)}")
        x, y = np.asarray(block)[places][:, list(bits)].T
        axes.scatter(x, y, c=classes[places], cmap="tab20", s=7, alpha=0.7, linewidths=0)
        axes.axhline(0, color=_GREY, linewidth=0.8)
        axes.axvline(0, color=_GREY, linewidth=0.8)
        corners = np.array([(a, b) for a in (-1, 1) for b in (-1, 1)])
        axes.scatter(*corners.T, marker="+", s=80, color="black", linewidths=1.4)
        axes.set(title=name, xlabel=f"coordinate {bits[0]}", aspect="equal")
        axes.set_xlim(-3, 3)
        axes.set_ylim(-3, 3)
    grid[0].set_ylabel(f"coordinate {bits[1]}")
    return figure


def precision_recall(curves: Mapping[str, Curve], *, title: str = "") -> Figure:
    """Draw precision against recall, a line a method.

    Parameters
    ----------
    curves : mapping of str to Curve
        `h2q.evaluation.precision_recall_curve` of each method.
    title : str
    """
    if not curves:
        raise InvalidInputError("there are no curves to draw")
    figure = new_figure(5.6, 4.0)
    axes = figure.subplots()
    for name, curve in curves.items():
        axes.plot(curve.recall, curve.precision, label=name, linewidth=1.6)
    axes.set(title=title, xlabel="recall", ylabel="precision", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    return figure


def neighbour_grid(
    query: Image.Image, found: Mapping[str, Sequence[tuple[Image.Image, bool]]]
) -> Figure:
    """Draw a query and its first neighbours under each method, a row a method.

    Parameters
    ----------
    query : PIL.Image.Image
    found : mapping of str to sequence of (image, relevant)
        Best first; a green frame is drawn where the neighbour is relevant, else an orange one.
    """
    longest = max((len(images) for images in found.values()), default=0)
    if longest == 0:
        raise InvalidInputError("there are no neighbours to draw")
    figure = new_figure(0.85 * (longest + 1) + 1.4, 0.95 * len(found))
    grid = figure.subplots(len(found), longest + 1, squeeze=False)
    for line, (name, images) in zip(grid, found.items(), strict=True):
        for axes, (image, relevant) in zip(line, [(query, None), *images], strict=False):
            axes.imshow(image, cmap="gray", interpolation="nearest")
            colour = "black" if relevant is None else (_GOOD if relevant else _BAD)
            for side in axes.spines.values():
                side.set(color=colour, linewidth=2.5)
        for axes in line[1 + len(images) :]:
            axes.set_visible(False)
        for axes in line:
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    grid[0][0].set_title("query", fontsize=9)
    return figure
