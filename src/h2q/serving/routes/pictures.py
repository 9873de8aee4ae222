"""Pictures: thumbnails, photos, and the files of the page itself."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from importlib import resources
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from h2q.collections.base import Item
from h2q.collections.http.wire import id_of
from h2q.errors import ImageError
from h2q.serving.library import Library
from h2q.serving.photos import LARGE
from h2q.serving.routes._shared import PROBLEMS, NotFoundError, Served

router = APIRouter(tags=["pictures"], responses=PROBLEMS)

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_PICTURE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"image/webp": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get(
    "/api/v1/thumbnails/{key:path}",
    summary="A small WebP of an item's photo.",
    response_class=Response,
    responses=_PICTURE,
)
def thumbnail(library: Served, key: str) -> Response:
    """Made once; 404 where the item has no photo that can be read."""
    return _drawn(library, key, library.photos.thumbnail)


@router.get(
    "/api/v1/photos/{key:path}",
    summary="An item's photo, upright, as WebP.",
    response_class=Response,
    responses=_PICTURE,
)
def photo(library: Served, key: str) -> Response:
    """404 where the item has no photo that can be read."""
    return _drawn(library, key, lambda item: library.photos.drawn(item, LARGE))


@router.get(
    "/api/v1/queries/{token}",
    summary="A small WebP of a photo that was searched with.",
    response_class=Response,
    responses=_PICTURE,
)
def asked(library: Served, token: str) -> Response:
    """422 where it is no longer kept."""
    return _picture(library.asked(token).webp)


@router.get("/", include_in_schema=False)
def page(request: Request) -> Response:
    """Return the page."""
    return _file("index.html", request)


@router.get("/page/{name:path}", include_in_schema=False)
def page_file(request: Request, name: str) -> Response:
    """Return a file of the page."""
    return _file(name, request)


@router.get("/favicon.ico", include_in_schema=False)
def favicon(request: Request) -> Response:
    """Return the page's sign."""
    return _file("icon.svg", request)


def _drawn(library: Library, key: str, draw: Callable[[Item], bytes]) -> Response:
    item = library.item(id_of(key))
    if item is None:
        raise NotFoundError(f"the collection holds no item {key}")
    try:
        return _picture(draw(item))
    except ImageError as error:
        raise NotFoundError(str(error)) from error


def _picture(data: bytes) -> Response:
    return Response(data, media_type="image/webp", headers={"cache-control": "private, max-age=60"})


def _file(name: str, request: Request) -> Response:
    # Only names that are in the package: nothing a request says becomes a path.
    found = _FILES.get(name)
    if found is None:
        raise NotFoundError(f"the page has no file {name[:100]!r}")
    kind, plain, packed = found
    headers = {"cache-control": "no-cache", "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(packed, media_type=kind, headers={**headers, "content-encoding": "gzip"})
    return Response(plain, media_type=kind, headers=headers)


def _read_files() -> dict[str, tuple[str, bytes, bytes]]:
    page = resources.files("h2q.serving") / "page"
    found = {}
    for prefix, folder in (("", page), ("vendor/", page / "vendor")):
        for entry in folder.iterdir():
            kind = _TYPES.get(entry.name.rpartition(".")[2])
            if entry.is_file() and kind is not None:
                data = entry.read_bytes()
                found[prefix + entry.name] = (kind, data, gzip.compress(data, mtime=0))
    return found


_FILES: Final = _read_files()
