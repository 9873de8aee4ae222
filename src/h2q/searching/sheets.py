"""The result of a search as a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PIL import Image

from h2q._files import written_whole
from h2q._typing import StrPath
from h2q.errors import ImageError, InvalidInputError
from h2q.images import Tile, contact_sheet, image_formats, read_image
from h2q.ingest.photo_files import photo_path
from h2q.searching.searcher import Hit, Result

#: Neighbours drawn at most; a search by radius can find thousands.
MAX_TILES: Final = 100


def result_sheet(result: Result, *, columns: int = 5, size: int = 160) -> Image.Image:
    """Draw the query beside its neighbours; a photo that cannot be read leaves a grey field.

    No more than the first `MAX_TILES` neighbours are drawn.

    Raises
    ------
    InvalidInputError
        If no neighbour came from a photo.
    """
    if result.hits and all(photo_path(hit.payload) is None for hit in result.hits):
        raise InvalidInputError(
            "the neighbours did not come from photos (h2q index FOLDER): there is nothing to draw"
        )
    tiles = [
        Tile(_picture(photo_path(hit.payload)), f"{place}. {_measure(hit)}\n{hit.id}")
        for place, hit in enumerate(result.hits[:MAX_TILES], start=1)
    ]
    query = Tile(_picture(result.path), f"query\n{Path(result.query).name}")
    return contact_sheet(tiles, query=query, columns=columns, size=size)


def draw_sheet(result: Result, out: StrPath) -> None:
    """Write the contact sheet of a result to a picture file, whole or not at all."""
    out = Path(out)
    kind = Image.registered_extensions().get(out.suffix.lower())
    if kind not in image_formats() or kind not in Image.SAVE:
        raise InvalidInputError(f"{out}: a contact sheet is a picture; name it .png, .jpg or .webp")
    sheet = result_sheet(result)
    with written_whole(out) as file:
        sheet.save(file, kind)


def _measure(hit: Hit) -> str:
    bits = f"{hit.distance} bit{'' if hit.distance == 1 else 's'}"
    return bits if hit.score is None else f"{bits}, score {hit.score:.1f}"


def _picture(path: Path | None) -> Image.Image | None:
    if path is None:
        return None
    try:
        return read_image(path)
    except ImageError:  # moved or damaged since it was indexed: the sheet shows an empty field
        return None
