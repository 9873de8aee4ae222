"""A self-contained HTML page: text, tables and pictures in one file, no request to anywhere."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from h2q._files import written_whole
from h2q._typing import StrPath

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #202124; --paper: #ffffff; --quiet: #5f6368;
        --line: #dadce0; --card: #f8f9fa; --accent: #0b57d0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --paper: #17181b; --quiet: #9aa0a6; --line: #3c4043;
          --card: #202226; --accent: #8ab4f8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 66rem; background: var(--paper);
       color: var(--ink); font: 16px/1.6 system-ui, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: 1.2rem;
     border-top: 1px solid var(--line); }
p { margin: .6rem 0; } .quiet, figcaption, caption { color: var(--quiet); font-size: .92rem; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, monospace; font-size: .9em; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
      padding: .8rem 1rem; overflow-x: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .94rem;
        font-variant-numeric: tabular-nums; }
caption { caption-side: bottom; text-align: left; padding-top: .5rem; }
th, td { padding: .45rem .5rem; text-align: right; border-bottom: 1px solid var(--line);
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { color: var(--quiet); font-weight: 600; font-size: .9rem; }
tr.strong td { font-weight: 650; color: var(--accent); }
figure { margin: 1rem 0; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; padding: .5rem;
             border: 1px solid var(--line); border-radius: 8px; }
figcaption { margin-top: .45rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .1rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(11.5rem, 1fr));
         gap: .8rem; margin: .6rem 0 1.2rem; }
.card { border: 1px solid var(--line); border-radius: 10px; overflow: hidden;
        background: var(--card); font-size: .84rem; line-height: 1.45; }
.card.strong { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }
.card .photo { height: 10.5rem; display: flex; align-items: center; justify-content: center;
               background: color-mix(in srgb, var(--line) 45%, transparent);
               color: var(--quiet); padding: .5rem; text-align: center; }
.card img { max-width: 100%; max-height: 100%; display: block; }
.card .words { padding: .5rem .65rem .65rem; }
.card .name { font-weight: 600; overflow-wrap: anywhere; }
.card .line { color: var(--quiet); overflow-wrap: anywhere; }
.badge { display: inline-block; font-size: .74rem; font-weight: 650; padding: .05rem .5rem;
         border-radius: 99px; border: 1px solid var(--line); color: var(--quiet);
         margin-bottom: .25rem; }
.strong > .words > .badge { background: var(--accent); border-color: var(--accent);
                            color: var(--paper); }
.numbers { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0; }
.numbers div { flex: 1 1 8rem; border: 1px solid var(--line); border-radius: 10px;
               padding: .6rem .9rem; background: var(--card); }
.numbers b { display: block; font-size: 1.5rem; line-height: 1.25; }
.numbers span { color: var(--quiet); font-size: .88rem; }
"""


@dataclass(frozen=True)
class Card:
    """A picture with a few words, one of several side by side.

    Attributes
    ----------
    picture : bytes or None
        A PNG or JPEG file; without it `missing` is said in its place.
    name : str
        Such as a file's; characters that do not print, or that turn the direction of writing,
        are shown as a replacement character.
    lines : sequence of str
    badge : str
        A word above the name; "" for none.
    strong : bool
        Whether it stands out.
    missing : str
    """

    picture: bytes | None
    name: str
    lines: Sequence[str] = ()
    badge: str = ""
    strong: bool = False
    missing: str = ""


class Page:
    """An HTML report, built from top to bottom.

    Parameters
    ----------
    title : str
    subtitle : str
        One line below it.

    Examples
    --------
    >>> page = Page("Digits")
    >>> page.heading("Scores")
    >>> page.table(["method", "mAP"], [["ITQ", "98.1"]], caption="higher is better")
    >>> "<td>98.1</td>" in page.html()
    True
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title = title
        self._parts = [f"<h1>{html.escape(title)}</h1>"]
        if subtitle:
            self._parts.append(f'<p class="quiet">{html.escape(subtitle)}</p>')

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def text(self, *paragraphs: str) -> None:
        """Add paragraphs of plain text."""
        self._parts.extend(f"<p>{html.escape(paragraph)}</p>" for paragraph in paragraphs)

    def subheading(self, text: str) -> None:
        """Begin a part of a section."""
        self._parts.append(f"<h3>{_shown(text)}</h3>")

    def numbers(self, *pairs: tuple[str, str]) -> None:
        """Add a row of figures: each a number and what it counts."""
        cells = "".join(
            f"<div><b>{html.escape(number)}</b><span>{html.escape(what)}</span></div>"
            for number, what in pairs
        )
        self._parts.append(f'<div class="numbers">{cells}</div>')

    def cards(self, cards: Sequence[Card]) -> None:
        """Add pictures side by side."""
        self._parts.append(f'<div class="cards">{"".join(map(_card, cards))}</div>')

    def preformatted(self, text: str) -> None:
        """Add text whose lines stay as they are: commands, code."""
        self._parts.append(f"<pre><code>{html.escape(text)}</code></pre>")

    def table(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        caption: str = "",
        strong: Sequence[int] = (),
    ) -> None:
        """Add a table; the rows numbered in `strong` stand out."""
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in header)
        lines = []
        for number, row in enumerate(rows):
            cells = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row)
            lines.append(
                f'<tr class="strong">{cells}</tr>' if number in strong else f"<tr>{cells}</tr>"
            )
        below = f"<caption>{html.escape(caption)}</caption>" if caption else ""
        self._parts.append(
            f'<div class="scroll"><table>{below}<thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(lines)}</tbody></table></div>"
        )

    def picture(self, image: bytes | Image.Image, *, alt: str, caption: str = "") -> None:
        """Add a picture: the bytes of a PNG or JPEG file, or a pillow image.

        `alt` says in words what it shows.
        """
        if isinstance(image, Image.Image):
            buffer = io.BytesIO()
            image.save(buffer, "PNG", optimize=True)
            image = buffer.getvalue()
        opened = Image.open(io.BytesIO(image))
        kind, (width, height) = opened.get_format_mimetype(), opened.size
        data = base64.b64encode(image).decode("ascii")
        below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
        self._parts.append(
            f'<figure><img src="data:{kind};base64,{data}" alt="{html.escape(alt)}" '
            f'width="{width}" height="{height}">{below}</figure>'
        )

    def html(self) -> str:
        """Return the page as text."""
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            # Nothing may be fetched: what the page shows is in it.
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
            "img-src data:; style-src 'unsafe-inline'\">"
            f"<title>{html.escape(self.title)}</title><style>{_STYLE}</style></head>"
            f"<body>{''.join(self._parts)}</body></html>\n"
        )

    def write(self, path: StrPath) -> Path:
        """Write the page to a file, whole or not at all."""
        with written_whole(path) as file:
            file.write(self.html().encode())
        return Path(path)


def _card(card: Card) -> str:
    name = _shown(card.name)
    inside = _shown(card.missing)
    if card.picture is not None:
        kind = Image.open(io.BytesIO(card.picture)).get_format_mimetype()
        data = base64.b64encode(card.picture).decode("ascii")
        inside = f'<img src="data:{kind};base64,{data}" alt="{name}" loading="lazy">'
    badge = f'<span class="badge">{_shown(card.badge)}</span>' if card.badge else ""
    lines = "".join(f'<div class="line"><bdi>{_shown(line)}</bdi></div>' for line in card.lines)
    return (
        f'<div class="card{" strong" if card.strong else ""}"><div class="photo">{inside}</div>'
        f'<div class="words">{badge}<div class="name"><bdi>{name}</bdi></div>{lines}</div></div>'
    )


def _shown(text: str) -> str:
    """Escape text that others wrote; U+200D joins emoji and stays."""
    return html.escape("".join(c if c.isprintable() or c == "\u200d" else "\ufffd" for c in text))
