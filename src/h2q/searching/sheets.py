"""The result of a search to look at: a contact sheet, or a page."""

from __future__ import annotations

import base64
import html
import io
import os
from pathlib import Path
from typing import Final

from PIL import Image

from h2q._files import check_apart, check_place, write_whole, written_whole
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.collections.base import Collection
from h2q.errors import ImageError, InvalidInputError
from h2q.images import Tile, contact_sheet, image_formats, read_photo
from h2q.ingest.photo_files import photo_path, readable
from h2q.searching.searcher import Hit, Result

#: Neighbours drawn at most; a search by radius can find thousands.
MAX_TILES: Final = 100
_THUMBNAIL: Final = 360  # pixels of the longer side, in a page

_STYLE: Final = """
:root{color-scheme:light dark;font:15px/1.4 system-ui,-apple-system,"Segoe UI","Noto Sans",
"Noto Sans CJK SC",sans-serif}
body{margin:2rem auto;max-width:82rem;padding:0 1rem}
h1{font-size:1.3rem;font-weight:600;overflow-wrap:anywhere}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:1.2rem}
figure{margin:0}
.frame{aspect-ratio:1;display:grid;place-items:center;border-radius:.4rem;overflow:hidden;
background:color-mix(in srgb,currentColor 6%,transparent)}
.frame img{max-width:100%;max-height:100%;object-fit:contain}
.query .frame{outline:3px solid #1a73e8}
figcaption{padding:.4rem .1rem;overflow-wrap:anywhere}
.facts{opacity:.65;font-size:.87rem;font-variant-numeric:tabular-nums}
section+section{border-top:1px solid color-mix(in srgb,currentColor 15%,transparent);
margin-top:1.5rem;padding-top:1.5rem}
""".strip()


def result_sheet(result: Result, *, columns: int = 5, size: int = 200) -> Image.Image:
    """Draw the query beside its neighbours; a photo that cannot be read leaves a grey field.

    No more than the first `MAX_TILES` neighbours are drawn.

    Raises
    ------
    InvalidInputError
        If no neighbour came from a photo.
    """
    _check_photos(result)
    tiles = [
        Tile(_picture(hit.path, 2 * size), f"{hit.id}\n{place} · {_measure(hit)}")
        for place, hit in enumerate(result.hits[:MAX_TILES], start=1)
    ]
    names = "\n".join(path.name for path in result.paths) or result.query
    query = Tile(_picture(result.path, 2 * size), f"{names}\nquery") if result.path else None
    title = "" if query else f"Neighbours of {result.query}"
    return contact_sheet(tiles, query=query, columns=columns, size=size, title=title)


def result_page(result: Result) -> str:
    """Lay the query and its neighbours out as a page that needs nothing beside it.

    Raises
    ------
    InvalidInputError
        If no neighbour came from a photo.
    """
    _check_photos(result)
    queries = [_figure(path, path.name, "query") for path in result.paths[:MAX_TILES]]
    shown = [
        _figure(hit.path, str(hit.id), " · ".join([f"{place}", _measure(hit), *_facts(hit)]))
        for place, hit in enumerate(result.hits[:MAX_TILES], start=1)
    ]
    title = f"Neighbours of {html.escape(result.query)}"
    asked = f'<section class="grid query">{"".join(queries)}</section>' if queries else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style><h1>{title}</h1>{asked}"
        f'<section class="grid">{"".join(shown)}</section></html>\n'
    )


def draw_sheet(result: Result, out: StrPath) -> None:
    """Write a result as a picture or, named .html, as a page; whole or not at all.

    Raises
    ------
    InvalidInputError
        If the name's ending is no format that can be written, or no neighbour came from a photo.
    """
    out = as_path(out)
    kind = kind_of_sheet(out)
    check_place(out, *result.paths, *(hit.path for hit in result.hits), picture=True)
    if kind == "HTML":
        write_whole(out, result_page(result).encode("utf-8", "replace"))
        return
    sheet = result_sheet(result)
    with written_whole(out) as file:
        sheet.save(file, kind)


def check_no_item(out: StrPath, collection: Collection) -> None:
    """Refuse a place for a sheet that is the photo of a stored item.

    Raises
    ------
    InvalidInputError
        If it is.
    """
    out = as_path(out)
    if not out.exists():
        return
    names = set()
    for path in (out.absolute(), Path(os.path.realpath(out))):
        names |= {"/".join(path.parts[start:]) for start in range(1, len(path.parts))}
    for batch in collection.iterate(where={"path": {"$in": sorted(map(readable, names))}}):
        for payload in batch.payloads:
            check_apart(out, photo_path(payload))


def kind_of_sheet(out: StrPath) -> str:
    """Return the format that a name's ending asks for: "HTML", or Pillow's name of a picture's.

    Raises
    ------
    InvalidInputError
        If none can be written of that name.
    """
    suffix = as_path(out).suffix.lower()
    if suffix in (".html", ".htm"):
        return "HTML"
    kind = Image.registered_extensions().get(suffix)
    if kind is None or kind not in image_formats() or kind not in Image.SAVE:
        raise InvalidInputError(
            f"{out}: a contact sheet is a picture or a page; name it .png, .jpg, .webp or .html"
        )
    return kind


def _check_photos(result: Result) -> None:
    if result.hits and all(hit.path is None for hit in result.hits):
        raise InvalidInputError(
            "the neighbours did not come from photos (h2q index FOLDER): there is nothing to draw"
        )


def _measure(hit: Hit) -> str:
    bits = f"{hit.distance} bit{'' if hit.distance == 1 else 's'}"
    return bits if hit.score is None else f"{bits}, score {hit.score:.1f}"


def _facts(hit: Hit) -> list[str]:
    payload = hit.payload or {}
    facts = [str(payload["taken"])[:10]] if "taken" in payload else []
    if "width" in payload and "height" in payload:
        facts.append(f"{payload['width']}\u00a0×\u00a0{payload['height']}")
    return facts


def _figure(path: Path | None, name: str, facts: str) -> str:
    image = _picture(path, _THUMBNAIL)
    shown = "no picture"
    if image is not None:
        image.thumbnail((_THUMBNAIL, _THUMBNAIL))
        data = io.BytesIO()
        image.save(data, "JPEG", quality=82)
        url = f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
        shown = f'<img src="{url}" alt="{html.escape(name)}" loading="lazy">'
    where = html.escape("" if path is None else str(path).encode("utf-8", "replace").decode())
    return (
        f'<figure title="{where}"><div class="frame">{shown}</div><figcaption>{html.escape(name)}'
        f'<div class="facts">{html.escape(facts)}</div></figcaption></figure>'
    )


def _picture(path: Path | None, side: int) -> Image.Image | None:
    if path is None:
        return None
    try:
        return read_photo(path, draft_side=side).image
    except ImageError:  # moved or damaged since it was indexed: the sheet shows an empty field
        return None
