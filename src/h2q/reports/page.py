"""A self-contained HTML page: text, tables and pictures in one file, no request to anywhere."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
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
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 62rem; background: var(--paper);
       color: var(--ink); font: 16px/1.6 system-ui, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: 1.2rem;
     border-top: 1px solid var(--line); }
p { margin: .6rem 0; } .quiet, figcaption, caption { color: var(--quiet); font-size: .92rem; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, monospace; font-size: .9em; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
      padding: .8rem 1rem; overflow-x: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { caption-side: bottom; text-align: left; padding-top: .5rem; }
th, td { padding: .45rem .7rem; text-align: right; border-bottom: 1px solid var(--line);
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { color: var(--quiet); font-weight: 600; font-size: .9rem; }
tr.strong td { font-weight: 650; color: var(--accent); }
figure { margin: 1rem 0; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; padding: .5rem;
             border: 1px solid var(--line); border-radius: 8px; }
figcaption { margin-top: .45rem; }
"""


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
