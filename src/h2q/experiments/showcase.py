"""One training looked at closely: the pictures that show what each quantization does to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from h2q import codes
from h2q._typing import StrPath
from h2q.evaluation import precision_recall_curve
from h2q.experiments.embeddings import Embeddings
from h2q.experiments.figures import save_figure
from h2q.experiments.judging import fit_quantizer, rotate
from h2q.experiments.pictures import neighbour_grid, precision_recall, rotation_scatter
from h2q.experiments.quantizers import QUANTIZATIONS
from h2q.reports.pictures import code_bits, coordinate_histogram

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from h2q.datasets import Dataset, ImageSource

#: What is shown beside each other.
SHOWN = ("none", "random", "itq", "h2q")


def draw_showcase(
    dataset: Dataset,
    embeddings: Embeddings,
    *,
    quantizations: Sequence[str] = SHOWN,
    query: int = 0,
    k: int = 8,
    seed: int = 0,
) -> dict[str, Figure]:
    """Draw every picture the data set allows.

    Parameters
    ----------
    dataset : h2q.datasets.Dataset
    embeddings : Embeddings
        `h2q.experiments.training.train` on it.
    quantizations : sequence of str
        Names that need no training of their own.
    query : int
        Row of the query whose neighbours are shown, where the items are images.
    k : int
        How many neighbours.
    seed : int
        Of the quantizers.

    Returns
    -------
    dict of str to Figure
        "rotation", "coordinates", "precision_recall", "codes" (of the last quantization, where
        items have one class) and "neighbours" (where items are images).
    """
    rotated: dict[str, dict[str, NDArray[Any]]] = {}
    for name in quantizations:
        quantizer, _, _ = fit_quantizer(QUANTIZATIONS[name], embeddings, seed)
        title = QUANTIZATIONS[name].title
        rotated[title] = {s: rotate(quantizer, embeddings.rows[s]) for s in ("query", "database")}
    labels = embeddings.labels
    database = {title: rows["database"] for title, rows in rotated.items()}
    figures = {
        "rotation": rotation_scatter(database, labels["database"]),
        "coordinates": coordinate_histogram(database),
        "precision_recall": precision_recall(
            {
                title: precision_recall_curve(
                    rows["query"], rows["database"], labels["query"], labels["database"]
                )
                for title, rows in rotated.items()
            },
            title="Hamming ranking, expected over ties",
        ),
    }
    if labels["database"].ndim == 1:
        last = list(database.values())[-1]
        chosen = np.unique(np.linspace(0, len(last) - 1, 400).astype(int))
        figures["codes"] = code_bits(
            codes.pack(last[chosen]), last.shape[1], labels["database"][chosen], dataset.classes
        )
    if dataset.query.images is not None and dataset.database.images is not None:
        images = (dataset.query.images, dataset.database.images)
        figures["neighbours"] = _neighbours(dataset, images, rotated, query, k)
    return figures


def save_showcase(folder: StrPath, figures: dict[str, Figure], kind: str = "svg") -> list[Path]:
    """Write the pictures to a folder; photographs and codes are better as "png"."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    return [save_figure(figure, place / f"{name}.{kind}") for name, figure in figures.items()]


def _neighbours(
    dataset: Dataset,
    images: tuple[ImageSource, ImageSource],
    rotated: dict[str, dict[str, NDArray[Any]]],
    query: int,
    k: int,
) -> Figure:
    hot = dataset.database.multi_hot(dataset.n_classes)
    wanted = dataset.query.take(np.array([query])).multi_hot(dataset.n_classes)[0]
    found = {}
    for title, rows in rotated.items():
        distances = codes.hamming_distances(
            codes.pack(rows["query"][query : query + 1]), codes.pack(rows["database"])
        )[0]
        best = np.argsort(distances, kind="stable")[:k]
        found[title] = [(images[1][int(i)], bool((hot[i] & wanted).any())) for i in best]
    return neighbour_grid(images[0][query], found)
