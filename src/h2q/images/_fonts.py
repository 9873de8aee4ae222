"""Text on pictures in any script: a font for each character, from packages (the Noto fonts)."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

from PIL import ImageDraw, ImageFont

#: Packages of fonts (the extra `photos`), and their files in the order they are asked.
_PACKAGES: Final = ("manimgx_fonts", "manimgx_fonts_cjk")
_FIRST: Final = ("NotoSans[", "NotoEmoji", "NotoSansCJK", "NotoSansSymbols")
#: Marks that change what is before them and have no shape of their own.
_SHAPELESS: Final = frozenset({0x200D, *range(0xFE00, 0xFE10)})
_CJK: Final = 0x2E80  # from here on the large font is more likely than the small ones

_Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont


def text_width(text: str, size: int) -> float:
    """Width of a line of text in pixels."""
    return sum(font.getlength(part) for font, part in _runs(text, size))


def draw_text(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    size: int,
    fill: tuple[int, int, int],
    *,
    centred: bool = False,
) -> None:
    """Write a line, its baseline `size` pixels below `place`.

    Characters for which no font is at hand are written as their code, so that two names never look
    alike.
    """
    x, y = place
    if centred:
        x -= text_width(text, size) / 2
    for font, part in _runs(text, size):
        if isinstance(font, ImageFont.FreeTypeFont):
            draw.text((x, y + size), part, fill=fill, font=font, anchor="ls")
        else:
            draw.text((x, y), part, fill=fill, font=font)
        x += font.getlength(part)


def wrapped(text: str, width: float, size: int) -> list[str]:
    """Break a line into as many as it needs, after a separator where there is one."""
    lines: list[str] = []
    rest = text
    while rest and text_width(rest, size) > width:
        fits = max(1, _longest(rest, width, size))
        cut = max((rest.rfind(sign, 0, fits) for sign in "/ _-."), default=-1) + 1
        cut = cut if cut > fits // 2 else fits
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*lines, rest] if rest or not lines else lines


def _longest(text: str, width: float, size: int) -> int:
    """Characters of the longest beginning that fits."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(text[:middle], size) <= width:
            low = middle
        else:
            high = middle - 1
    return low


def _runs(text: str, size: int) -> Iterator[tuple[_Font, str]]:
    """Parts of a text that one font can write."""
    font: _Font | None = None
    part = ""
    for sign in text:
        joined = ord(sign) in _SHAPELESS or unicodedata.category(sign).startswith("M")
        found = font if joined and font is not None else _font_of(sign, size)
        if found is None:  # nobody can write it
            found = _font(None, size)
            sign = f"\\u{ord(sign):04x}"
        if found is not font and part and font is not None:
            yield font, part
            part = ""
        font = found
        part += sign
    if part and font is not None:
        yield font, part


@functools.lru_cache(maxsize=4096)
def _font_of(sign: str, size: int) -> _Font | None:
    paths = _paths()
    if ord(sign) >= _CJK:
        paths = sorted(paths, key=lambda path: "CJK" not in path.name)
    for path in [*paths, None]:
        font = _font(path, size)
        if _has(font, sign):
            return font
    return None


def _has(font: _Font, sign: str) -> bool:
    if sign.isspace():
        return True
    if not isinstance(font, ImageFont.FreeTypeFont):
        return sign.isascii()
    # A font draws one and the same box for whatever it lacks; U+FFFF is in none.
    shape, box = font.getmask(sign), font.getmask("\uffff")
    return shape.size != box.size or bytes(shape) != bytes(box)


@functools.cache
def _paths() -> list[Path]:
    found: list[Path] = []
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            folder = Path(spec.origin).parent
            found += [p for p in folder.iterdir() if p.suffix in {".ttf", ".otf", ".ttc"}]

    def order(path: Path) -> tuple[int, str]:
        places = [i for i, start in enumerate(_FIRST) if path.name.startswith(start)]
        return (places[0] if places else len(_FIRST), path.name)

    return sorted((p for p in found if "Italic" not in p.name), key=order)


@functools.lru_cache(maxsize=128)
def _font(path: Path | None, size: int) -> _Font:
    if path is None:
        return ImageFont.load_default(size=size)
    font = ImageFont.truetype(str(path), size)
    with contextlib.suppress(OSError):  # of one weight only
        axes = font.get_variation_axes()
        weights = [
            400.0 if axis["name"] == b"Weight" else float(axis["default"] or 0) for axis in axes
        ]
        font.set_variation_by_axes(weights)  # some begin as thin as they go
    return font
