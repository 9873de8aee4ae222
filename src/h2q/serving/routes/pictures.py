"""Pictures: thumbnails, photos, and the files of the page itself."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable
from importlib import resources
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from h2q.collections.base import Item
from h2q.collections.http.wire import id_of
from h2q.errors import ImageError
from h2q.serving.library import Library
from h2q.serving.photos import LARGE, THUMBNAIL, mark_of
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
_MARKED: Final = _PICTURE | {304: {"description": "The client holds it already (If-None-Match)."}}


@router.get(
    "/api/v1/thumbnails/{key:path}",
    summary="A small WebP of an item's photo.",
    response_class=Response,
    responses=_MARKED,
)
def thumbnail(library: Served, request: Request, key: str) -> Response:
    """Made once; 404 where the item has no photo that can be read."""
    return _drawn(library, request, key, THUMBNAIL, library.photos.thumbnail)


@router.get(
    "/api/v1/photos/{key:path}",
    summary="An item's photo, upright, as WebP.",
    response_class=Response,
    responses=_MARKED,
)
def photo(library: Served, request: Request, key: str) -> Response:
    """404 where the item has no photo that can be read."""
    return _drawn(library, request, key, LARGE, lambda item: library.photos.drawn(item, LARGE))


@router.get(
    "/api/v1/queries/{token}",
    summary="A small WebP of a photo that was searched with.",
    response_class=Response,
    responses=_PICTURE,
)
def asked(library: Served, token: str) -> Response:
    """422 where it is no longer kept."""
    return _picture(library.asked.get(token).webp)


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


def _drawn(
    library: Library, request: Request, key: str, longest: int, draw: Callable[[Item], bytes]
) -> Response:
    item = library.item(id_of(key))
    if item is None:
        raise NotFoundError(f"the collection holds no item {key}")
    path = library.photos.path(item.payload)
    # A thumbnail is of the photo as it was indexed; a large picture is of the file as it is.
    mark = mark_of(item, longest, path if longest == LARGE else None)
    if path is not None and _has(request, mark):
        return _picture(b"", mark, 304)  # not read, and not drawn
    try:
        return _picture(draw(item), mark)
    except ImageError as error:
        raise NotFoundError(str(error)) from error


def _picture(data: bytes, mark: str | None = None, status: int = 200) -> Response:
    headers = {"cache-control": "private, max-age=60"}
    if mark is not None:
        headers["etag"] = f'"{mark}"'
    return Response(data, status, headers, None if status == 304 else "image/webp")


def _file(name: str, request: Request) -> Response:
    # Only names that are in the package: nothing a request says becomes a path.
    found = _FILES.get(name)
    if found is None:
        raise NotFoundError(f"the page has no file {name[:100]!r}")
    kind, mark, plain, packed = found
    # A weak one: it stands for the file, packed or not.
    headers = {"cache-control": "no-cache", "vary": "accept-encoding", "etag": f'W/"{mark}"'}
    if _has(request, mark):
        return Response(status_code=304, headers=headers)
    if _takes_gzip(request.headers.get("accept-encoding", "")):
        return Response(packed, media_type=kind, headers={**headers, "content-encoding": "gzip"})
    return Response(plain, media_type=kind, headers=headers)


def _takes_gzip(accepted: str) -> bool:
    for each in accepted.lower().split(","):
        name, _, weight = each.replace(" ", "").partition(";q=")
        if name == "gzip":
            return re.fullmatch(r"0(\.0*)?", weight) is None
    return False


def _has(request: Request, mark: str | None) -> bool:
    """Whether the client says that it holds what is asked for."""
    held = [name.strip() for name in request.headers.get("if-none-match", "").split(",")]
    return mark is not None and any(
        name == "*" or name.removeprefix("W/") == f'"{mark}"' for name in held
    )


def _read_files() -> dict[str, tuple[str, str, bytes, bytes]]:
    page = resources.files("h2q.serving") / "page"
    found = {}
    for prefix, folder in (("", page), ("vendor/", page / "vendor")):
        for entry in folder.iterdir():
            kind = _TYPES.get(entry.name.rpartition(".")[2])
            if entry.is_file() and kind is not None:
                data = entry.read_bytes()
                mark = hashlib.sha256(data).hexdigest()[:32]
                found[prefix + entry.name] = (kind, mark, data, gzip.compress(data, mtime=0))
    return found


_FILES: Final = _read_files()
