"""A contact sheet: a query and its neighbours as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw, ImageFont, ImageOps

_INK: Final = (32, 33, 36)
_QUIET: Final = (112, 117, 122)
_PAPER: Final = (255, 255, 255)
_EMPTY: Final = (236, 238, 240)
_QUERY: Final = (26, 115, 232)
_LINE: Final = 16  # pixels a line of caption


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet.

    Attributes
    ----------
    image : PIL.Image.Image or None
        None (a file that has vanished, say) leaves a grey field.
    caption : str
        Lines are kept; a line too long for the tile is shortened in the middle.
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
    rows = max(1, -(-len(neighbours) // columns))
    everything = [*neighbours, *([query] if query else [])]
    lines = max((tile.caption.count("\n") + 1 for tile in everything if tile.caption), default=0)
    gap, head = max(8, size // 16), (_LINE + 12 if title else 0)
    cell_w, cell_h = size + gap, size + lines * _LINE + gap + 4
    left = cell_w + 2 * gap if query else 0
    sheet = Image.new(
        "RGB", (gap + left + columns * cell_w, gap + head + rows * cell_h), color=_PAPER
    )
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((gap, gap), _fit(draw, title, sheet.width - 2 * gap), fill=_INK, font=_font())
    if query:
        _draw_tile(sheet, query, gap, gap + head, size, _QUERY)
        middle = left - gap // 2
        draw.line([(middle, gap + head), (middle, sheet.height - gap)], fill=_EMPTY, width=2)
    for place, tile in enumerate(neighbours):
        row, column = divmod(place, columns)
        frame = {True: (24, 128, 56), False: (197, 34, 31), None: None}[tile.good]
        x, y = gap + left + column * cell_w, gap + head + row * cell_h
        _draw_tile(sheet, tile, x, y, size, frame)
    return sheet


def _draw_tile(
    sheet: Image.Image, tile: Tile, x: int, y: int, size: int, frame: tuple[int, int, int] | None
) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.rectangle([x, y, x + size - 1, y + size - 1], fill=_EMPTY)
    if tile.image is None:
        draw.text((x + size // 2, y + size // 2), "no picture", _QUIET, _font(), anchor="mm")
    else:
        # Small pictures (digits, icons) grow without blur; large ones shrink smoothly.
        grow = max(tile.image.size) * 2 < size
        method = Image.Resampling.NEAREST if grow else Image.Resampling.LANCZOS
        fitted = ImageOps.contain(tile.image.convert("RGB"), (size, size), method)
        sheet.paste(fitted, (x + (size - fitted.width) // 2, y + (size - fitted.height) // 2))
    if frame:
        draw.rectangle([x, y, x + size - 1, y + size - 1], outline=frame, width=3)
    for number, line in enumerate(tile.caption.splitlines()):
        colour = _INK if number == 0 else _QUIET
        text = _fit(draw, line, size)
        draw.text((x, y + size + 3 + number * _LINE), text, fill=colour, font=_font())


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=12)


def _fit(draw: ImageDraw.ImageDraw, text: str, width: int) -> str:
    """Shorten in the middle: the ends of a path say more than its middle."""
    if draw.textlength(text, font=_font()) <= width:
        return text
    for keep in range(len(text) - 1, 1, -1):
        shorter = f"{text[: keep // 2]}…{text[len(text) - (keep - keep // 2) :]}"
        if draw.textlength(shorter, font=_font()) <= width:
            return shorter
    return "…"
