"""Groups of near-duplicates as a page with pictures, and as a table of all their items."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from h2q._files import written_whole
from h2q._typing import StrPath
from h2q.collections.base import Collection, Item
from h2q.duplicates.groups import Group, Order
from h2q.duplicates.scan import CollectionDuplicates
from h2q.errors import ImageError
from h2q.images import Tile, contact_sheet, read_image
from h2q.ingest.photo_files import photo_path
from h2q.reports.page import Page

#: Items of a group that are shown; of a larger group, some from all distances.
MOST_TILES: Final = 16
_SIZE, _COLUMNS = 150, 5
_BATCH = 10_000


def duplicates_page(
    collection: Collection,
    found: CollectionDuplicates,
    *,
    limit: int = 50,
    order: Order = "largest",
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Page:
    """Build the page: what was found, then the groups, with pictures where items are photos.

    A photo that is missing or cannot be read leaves a grey field, and its caption says so.

    Parameters
    ----------
    collection : Collection
    found : CollectionDuplicates
        Of that collection.
    limit : int
        Groups shown at most.
    order : {"largest", "tightest"}
        Which come first.
    on_progress : callable
        Told how many groups of how many are drawn.
    """
    groups = found.groups
    page = Page(
        "Near-duplicates",
        f"{collection.uri}: {groups.n_rows:,} items of {found.n_bits} bits, "
        f"radius {_bits(groups.radius)}",
    )
    page.text(
        f"{len(groups):,} groups hold {int(groups.sizes.sum()):,} items: {groups.n_spare:,} more "
        "than one of each. The search is exact: every pair of items within the radius was found.",
        "Groups are by chaining: items are in one group where steps within the radius lead from "
        "one to the other. Distances are from the group's oldest item; they can be above the "
        "radius.",
    )
    page.table(
        ["distance", "pairs of items"],
        [[_bits(bits), f"{count:,}"] for bits, count in enumerate(groups.pairs_at.tolist())],
        caption="Pairs within the radius; equal codes are at distance 0.",
    )
    shown = groups.order(order)[:limit].tolist()
    if len(shown) < len(groups):
        page.text(f"The {len(shown)} {order} groups follow.")
    for place, number in enumerate(shown, start=1):
        _add_group(page, place, groups[number], collection, found)
        on_progress(place, len(shown))
    return page


def write_group_table(
    path: StrPath, collection: Collection, found: CollectionDuplicates, *, order: Order = "largest"
) -> Path:
    """Write every item of every group as CSV: group, id, distance, path of its photo.

    The file is written whole or not at all. Groups are numbered as on the page.
    """
    with written_whole(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text)
        writer.writerow(["group", "id", "distance", "path"])
        rows: list[tuple[int, int, int]] = []
        for place, number in enumerate(found.groups.order(order).tolist(), start=1):
            group = found.groups[number]
            for row, distance in zip(group.rows.tolist(), group.distances.tolist(), strict=True):
                rows.append((place, row, distance))
            if len(rows) >= _BATCH:
                writer.writerows(_csv_lines(collection, found, rows))
                rows.clear()
        writer.writerows(_csv_lines(collection, found, rows))
        text.flush()
        text.detach()
    return Path(path)


def _csv_lines(
    collection: Collection, found: CollectionDuplicates, rows: Sequence[tuple[int, int, int]]
) -> Iterator[list[Any]]:
    items = collection.get([found.ids[row] for _, row, _ in rows]) if rows else []
    for (place, row, distance), item in zip(rows, items, strict=True):
        path = photo_path(None if item is None else item.payload)
        yield [place, found.ids[row], distance, "" if path is None else str(path)]


def _add_group(
    page: Page, place: int, group: Group, collection: Collection, found: CollectionDuplicates
) -> None:
    page.heading(f"{place}. {len(group):,} items, up to {_bits(group.reach)} from the oldest")
    picked = np.arange(len(group))
    if len(group) > MOST_TILES:
        picked = np.linspace(0, len(group) - 1, MOST_TILES).round().astype(np.int64)
    rows, distances = group.rows[picked], group.distances[picked]
    ids = [found.ids[row] for row in rows.tolist()]
    items = collection.get(ids)
    caption = ""
    if len(picked) < len(group):
        caption = f"{len(picked)} of {len(group):,} items, picked evenly in the order of distance."
    if all(photo_path(None if item is None else item.payload) is None for item in items):
        page.table(
            ["id", "distance"],
            [[item_id, _bits(d)] for item_id, d in zip(ids, distances.tolist(), strict=True)],
            caption=caption,
        )
        return
    tiles = [
        _tile(item, f"{_bits(distance) if place else 'oldest'}\n{item_id}")
        for place, (item, item_id, distance) in enumerate(
            zip(items, ids, distances.tolist(), strict=True)
        )
    ]
    sheet = contact_sheet(tiles[1:], query=tiles[0], columns=_COLUMNS, size=_SIZE)
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=85)
    page.picture(
        file.getvalue(), alt=f"Photos of group {place} with their distances", caption=caption
    )


def _tile(item: Item | None, caption: str) -> Tile:
    if item is None:
        return Tile(None, f"{caption}\nno longer stored")
    path = photo_path(item.payload)
    if path is None:
        return Tile(None, f"{caption}\nnot a photo")
    try:
        picture = read_image(path)
    except ImageError:
        trouble = "cannot be read" if path.exists() else "file is missing"
        return Tile(None, f"{caption}\n{trouble}")
    if max(picture.size) > 2 * _SIZE:
        picture.thumbnail((2 * _SIZE, 2 * _SIZE), Image.Resampling.LANCZOS)  # hold little at once
    return Tile(picture, caption)


def _bits(count: int) -> str:
    return f"{count} bit{'' if count == 1 else 's'}"
