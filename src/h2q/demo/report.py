"""The demo's pictures and its page."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from h2q._files import written_whole
from h2q.codes import pack
from h2q.images import Tile, contact_sheet, read_image
from h2q.quantization import make_quantizer
from h2q.reports import pictures
from h2q.reports.page import Page
from h2q.searching.searcher import Result, Searcher
from h2q.searching.sheets import draw_sheet

if TYPE_CHECKING:
    from h2q.demo.run import DemoResult
    from h2q.judging.quantizers import Comparison

_TITLES = {"none": "none", "itq": "ITQ", "h2q": "H²Q"}


def write_report(result: DemoResult) -> None:
    """Leave the pictures (PNG) and `report.html` in the demo's folder."""
    drawn = _draw(result)
    for name, picture in drawn.items():
        with written_whole(result.folder / f"{name}.png") as file:
            file.write(picture)
    draw_sheet(result.search, result.folder / "neighbours.png")
    _page(result, drawn).write(result.report)


def _draw(result: DemoResult) -> dict[str, bytes]:
    """Draw every matplotlib picture, as PNG, by the name of its file."""
    seed, comparison = comparison_seed(result), result.comparison
    train, database = (result.embeddings.part(name) for name in ("train", "database"))
    labels = np.asarray(database.labels)
    rotated: dict[str, Any] = {}
    for method, title in _TITLES.items():
        quantizer = make_quantizer(method, random_state=seed).fit(train.rows)
        rotated[title] = quantizer.rotate(database.rows)
    codes = {title: pack(rows) for title, rows in rotated.items()}
    n_bits = comparison.n_bits
    scores = {
        m.title: {name: float(np.mean(v)) for name, v in m.mean_average_precision.items()}
        for m in comparison.quantizers
    }
    figures = {
        "scores": pictures.ranking_scores(scores, comparison.bound, comparison.metric),
        "coordinates": pictures.coordinate_histogram(rotated),
        "distances": pictures.distance_histogram(codes, n_bits, labels),
        "bits": pictures.code_bits(codes["H²Q"], n_bits, labels, result.dataset.classes),
    }
    return {name: pictures.to_png(figure) for name, figure in figures.items()}


def comparison_seed(result: DemoResult) -> int:
    """Return the seed the table's quantizers were fitted with."""
    return result.comparison.seeds[0]


def _best(comparison: Comparison) -> list[int]:
    """Rows of the quantizers that are ahead by most of the ranks, to two digits."""
    ahead = Counter[int]()
    for rank in comparison.ranks:
        means = [
            round(100 * float(np.mean(scores.mean_average_precision.get(rank, [0]))), 2)
            for scores in comparison.quantizers
        ]
        ahead.update(row for row, mean in enumerate(means) if mean == max(means))
    return [row for row, times in ahead.items() if times == max(ahead.values())]


def _page(result: DemoResult, drawn: dict[str, bytes]) -> Page:
    comparison, dataset = result.comparison, result.dataset
    page = Page(
        "h2q on handwritten digits",
        f"{comparison.n_bits}-bit codes, seed {comparison_seed(result)}, made by `h2q demo`",
    )
    page.text(
        "A small network is trained so that the cosine of two embeddings tells whether two digits "
        "are alike (cosine embedding loss). Then, without labels, a rotation is found that brings "
        "the embeddings close to their signs. The signs are the code. A rotation changes no "
        "cosine, so nothing that was learned is lost before the signs are taken."
    )
    page.heading("Scores")
    page.table(
        comparison.header(),
        comparison.rows(),
        strong=_best(comparison),
        caption=(
            f"{comparison.metric} in percent: {len(dataset.query)} queries among "
            f"{len(dataset.database)} digits; the network and the quantizers saw only the "
            f"{len(dataset.train)} training digits. Mean and standard deviation over "
            f"{len(comparison.seeds)} fits of each quantizer to one trained network; the pictures "
            "below show the first fit."
        ),
    )
    page.text(
        "hamming ranks by distance in bits, with the expected value over ties. asymmetric ranks "
        "stored codes by the query's real values. embedding is the paper's: Hamming, ties broken "
        "by the real embeddings, which then must be stored. The last row is what codes are "
        "measured against: real values on both sides. Where classes are easy to tell "
        "apart, signs can even pass it a little, because they drop differences within a class."
    )
    page.picture(
        drawn["scores"],
        alt="Mean average precision of each quantization under three rankings, and the bound",
        caption="The same numbers, drawn.",
    )
    page.heading("What the rotation does")
    page.picture(
        drawn["coordinates"],
        alt="Histograms of the coordinates without rotation, after ITQ and after H²Q",
        caption=(
            "Coordinates of the database digits, none of which was used to find the rotation. "
            "Signs lose least where the coordinates stand at -1 and +1 (dashed); the error is the "
            "mean squared distance from there."
        ),
    )
    page.heading("Distances")
    page.picture(
        drawn["distances"],
        alt="Histograms of Hamming distances of similar and dissimilar pairs",
        caption="Hamming distances between digits of the same class and of different classes.",
    )
    page.heading("Codes")
    page.picture(
        drawn["bits"],
        alt="Codes as black and white rows, grouped by class",
        caption="Each row is a digit, black where its bit is 1. Stripes: a class agrees on a bit.",
    )
    page.heading("Neighbours")
    page.picture(
        _neighbours(result),
        alt="Queries, each with its nearest digits",
        caption=(
            "One query a row, with its nearest digits in the collection, best first; green frames "
            "are of the query's class."
        ),
    )
    page.heading("Look at next")
    page.preformatted("\n".join(f"{what}:\n    {how}" for what, how in result.next_steps()))
    return page


def _neighbours(result: DemoResult, n_neighbours: int = 8) -> Image.Image:
    """Draw the first query of each class and its neighbours, one row each."""
    paths = [sorted(folder.glob("*.png"))[0] for folder in _class_folders(result)]
    with Searcher(str(result.collection), device="cpu") as searcher:
        queries = [query for path in paths for query in searcher.file(path)]
        found = searcher.search(queries, k=n_neighbours)
    rows = [_row(one, path) for one, path in zip(found, paths, strict=True)]
    sheet = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)), "white")
    for place, row in enumerate(rows):
        sheet.paste(row, (0, place * rows[0].height))
    return sheet


def _class_folders(result: DemoResult) -> list[Path]:
    return sorted(path for path in (result.folder / "queries").iterdir() if path.is_dir())


def _row(result: Result, path: Path) -> Image.Image:
    wanted = path.parent.name
    tiles = []
    for hit in result.hits:
        payload = hit.payload or {}
        image = read_image(f"{payload['folder']}/{payload['path']}")
        tiles.append(Tile(image, f"{hit.distance} bits", good=payload.get("label") == wanted))
    query = Tile(read_image(path), f"query: {wanted}")
    return contact_sheet(tiles, query=query, columns=len(tiles), size=64)
