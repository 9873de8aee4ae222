"""A contact sheet: a query and its neighbours as one picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw, ImageOps

from h2q.images._fonts import draw_text, text_width, wrapped

_INK: Final = (32, 33, 36)
_QUIET: Final = (112, 117, 122)
_PAPER: Final = (255, 255, 255)
_EMPTY: Final = (241, 243, 244)
_QUERY: Final = (26, 115, 232)
_GOOD: Final = (24, 128, 56)
_BAD: Final = (197, 34, 31)
_TEXT: Final = 13  # pixels of the letters
_LINE: Final = 18  # from one line of a caption to the next
_TITLE: Final = 17
_MOST_LINES: Final = 5  # of one line of a caption that is too long


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet.

    Attributes
    ----------
    image : PIL.Image.Image or None
        None (a file that has vanished, say) leaves a grey field.
    caption : str
        Lines are kept; one too long for the tile is broken. The first is dark, the others grey.
    good : bool or None
        Frame in green (True) or red (False), as where relevance is known.
    """

    image: Image.Image | None
    caption: str = ""
    good: bool | None = None


def contact_sheet(
    neighbours: Sequence[Tile],
    *,
    query: Tile | None = None,
    columns: int = 5,
    size: int = 160,
    title: str = "",
) -> Image.Image:
    """Draw a query, on the left, beside its neighbours, best first.

    Names are readable in any script where the extra `photos` is installed, and never cut so that
    two look alike: a long one is broken into lines.

    Parameters
    ----------
    neighbours : sequence of Tile
        In the order to show.
    query : Tile, optional
        Drawn apart, with a blue frame.
    columns : int
        Neighbours a row.
    size : int
        Side of a tile in pixels; pictures keep their proportions.
    title : str
        A line above all.

    Returns
    -------
    PIL.Image.Image
        Mode "RGB".
    """
    columns = max(1, min(columns, len(neighbours)))
    tiles = [*neighbours, *([query] if query else [])]
    captions = _distinct([_broken(tile.caption, size) for tile in tiles])
    gap, head = max(10, size // 12), (_TITLE + 16 if title else 0)
    shown = captions[: len(neighbours)]
    rows = [shown[i : i + columns] for i in range(0, len(shown), columns)]
    # Each row is as high as its longest caption; the query's own may reach below the first.
    heights = [size + 6 + _LINE * max(map(len, row), default=0) + gap for row in rows]
    tall = size + 6 + _LINE * len(captions[-1]) + gap if query else 0
    left = size + 2 * gap if query else 0
    height = max(sum(heights), tall) + gap + head
    across = columns if neighbours else 0
    width = gap + left + max(across * (size + gap), 0 if query else size + gap)
    sheet = Image.new("RGB", (width, height), color=_PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        fitted = wrapped(title, width - 2 * gap, _TITLE)[0]
        draw_text(draw, (gap, gap - 2), fitted, _TITLE, _INK)
    top = gap + head
    if query:
        _draw_tile(sheet, query, captions[-1], gap, top, size, _QUERY)
        line = left + gap // 2 - gap // 2
        draw.line([(line, top), (line, height - gap)], fill=_EMPTY, width=2)
    for number, (row, high) in enumerate(zip(rows, heights, strict=True)):
        for column, caption in enumerate(row):
            tile = neighbours[number * columns + column]
            frame = {True: _GOOD, False: _BAD, None: None}[tile.good]
            x = gap + left + column * (size + gap)
            _draw_tile(sheet, tile, caption, x, top, size, frame)
        top += high
    return sheet


def _broken(caption: str, width: int) -> list[tuple[str, bool]]:
    """Lines of a caption that fit, and whether each belongs to its first line."""
    lines: list[tuple[str, bool]] = []
    for number, line in enumerate(caption.splitlines()):
        parts = wrapped(line, width, _TEXT)
        if len(parts) > _MOST_LINES:  # the ends of a path say more than its middle
            parts = [*parts[:2], "…", *parts[-2:]]
        lines.extend((part, number == 0) for part in parts)
    return lines


def _distinct(captions: list[list[tuple[str, bool]]]) -> list[list[tuple[str, bool]]]:
    """Tell apart, by a number, captions that look alike because they were shortened."""
    shortened = [
        tuple(lines) for lines in captions if ("…", True) in lines or ("…", False) in lines
    ]
    alike = {lines for lines, n in Counter(shortened).items() if n > 1}
    seen: Counter[tuple[tuple[str, bool], ...]] = Counter()
    found = []
    for lines in captions:
        key = tuple(lines)
        if key in alike:
            seen[key] += 1
            mark = [(f"… ({seen[key]})", first) if text == "…" else (text, first)
                    for text, first in lines]  # fmt: skip
            found.append(mark)
        else:
            found.append(lines)
    return found


def _draw_tile(
    sheet: Image.Image,
    tile: Tile,
    caption: Sequence[tuple[str, bool]],
    x: int,
    y: int,
    size: int,
    frame: tuple[int, int, int] | None,
) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.rectangle([x, y, x + size - 1, y + size - 1], fill=_EMPTY)
    if tile.image is None:
        text = "no picture"
        place = (x + (size - text_width(text, _TEXT)) / 2, y + (size - _TEXT) / 2)
        draw_text(draw, place, text, _TEXT, _QUIET)
    else:
        fitted = _fitted(tile.image.convert("RGB"), size)
        sheet.paste(fitted, (x + (size - fitted.width) // 2, y + (size - fitted.height) // 2))
    if frame:
        draw.rectangle([x - 2, y - 2, x + size + 1, y + size + 1], outline=frame, width=3)
    for number, (text, first) in enumerate(caption):
        below = y + size + 6 + number * _LINE
        draw_text(draw, (x, below), text, _TEXT, _INK if first else _QUIET)


def _fitted(image: Image.Image, size: int) -> Image.Image:
    """Bring a picture of any shape into a square; of the thinnest at least a line is seen."""
    # Small pictures (digits, icons) grow without blur; large ones shrink smoothly.
    grow = max(image.size) * 2 < size
    method = Image.Resampling.NEAREST if grow else Image.Resampling.LANCZOS
    scale = size / max(image.size)
    if min(image.size) * scale < 1:
        width, height = (max(1, round(side * scale)) for side in image.size)
        return image.resize((width, height), method)
    return ImageOps.contain(image, (size, size), method)
