"""The ASGI application over one collection."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from h2q._version import __version__
from h2q.collections.base import Collection
from h2q.errors import (
    CollectionError,
    CompatibilityError,
    H2QError,
    ImageError,
    InvalidInputError,
)
from h2q.serving.guard import Guard, problem
from h2q.serving.library import Library
from h2q.serving.routes import ROUTERS
from h2q.serving.routes._shared import NotFoundError
from h2q.serving.settings import Settings
from h2q.serving.side_file import SideFile
from h2q.serving.telemetry import Metrics

#: The first class that fits decides.
_STATUS = (
    (NotFoundError, 404),
    (CompatibilityError, 409),
    (ImageError, 422),
    (InvalidInputError, 422),
    (CollectionError, 503),
    (H2QError, 422),
)


def create_app(
    collection: Collection, settings: Settings | None = None, *, side_file: SideFile | None = None
) -> FastAPI:
    """Make the application that serves a collection.

    Parameters
    ----------
    collection : Collection
        Open; stays the caller's to close, after the application has shut down.
    settings : Settings, optional
    side_file : SideFile, optional
        For thumbnails and the map; by default a file beside the collection.

    Returns
    -------
    FastAPI
    """
    settings = settings or Settings()
    metrics = Metrics()
    library = Library(collection, settings, metrics, side_file)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(library.close)

    app = FastAPI(
        title="h2q",
        version=__version__,
        summary="Search a collection of short binary codes.",
        description=(
            "Ids are texts or numbers; a key writes them as s:NAME or i:7. Codes are packed bits, "
            "most significant bit first, as base64. An error has a kind and a message."
        ),
        lifespan=lifespan,
        docs_url=None,  # their pages come from elsewhere
        redoc_url=None,
    )
    app.state.library = library
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(Guard, settings=settings, metrics=metrics)
    app.add_exception_handler(H2QError, _our_error)
    app.add_exception_handler(RequestValidationError, _not_readable)
    app.add_exception_handler(HTTPException, _http_error)
    return app


def _our_error(request: Request, error: Exception) -> JSONResponse:
    status = next(code for kind, code in _STATUS if isinstance(error, kind))
    return _answer(request, type(error).__name__, str(error), status)


def _not_readable(request: Request, error: Exception) -> JSONResponse:
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    parts = [
        f"{'.'.join(str(part)[:60] for part in each['loc'])}: {each['msg']}"
        for each in jsonable_encoder(errors[:5], exclude={"input", "ctx"})
    ]
    kind = request.headers.get("content-type", "")
    if any(each["loc"][0] == "body" for each in errors) and "json" not in kind.lower():
        parts = [f"body: send JSON, with the header content-type: application/json (got {kind!r})"]
    return _answer(request, "InvalidInputError", "; ".join(parts)[:2000], 422)


def _http_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    answer = _answer(request, "HttpError", str(error.detail), error.status_code)
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


def _answer(request: Request, kind: str, message: str, status: int) -> JSONResponse:
    return JSONResponse(problem(kind, message, request.state.request_id), status)
