"""Whether the server lives, is ready, and how it fares."""

from __future__ import annotations

import contextlib
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from h2q._version import __version__
from h2q.errors import CollectionError
from h2q.serving.guard import COOKIE, RefusedError, known_key
from h2q.serving.routes._shared import PROBLEMS, Served
from h2q.serving.schemas import Health, SessionIn, SessionOut

router = APIRouter(tags=["health"])
_GUARDED: dict[int | str, dict[str, Any]] = {
    status: PROBLEMS[status] for status in (401, 403, 421, 429)
}


@router.get("/healthz", summary="Whether the server lives.", responses={421: PROBLEMS[421]})
def healthz() -> Health:
    """Answer at once."""
    return Health(status="ok", version=__version__)


@router.get(
    "/readyz",
    summary="Whether all items have been looked at.",
    responses={421: PROBLEMS[421], 503: {"model": Health}},
)
def readyz(library: Served, response: Response) -> Health:
    """503 until then."""
    if not library.ready:
        response.status_code = 503
        return Health(status="starting", version=__version__)
    return Health(status="ready", version=__version__)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus.",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **_GUARDED},
)
def metrics(library: Served) -> Response:
    """Return the metrics."""
    with contextlib.suppress(CollectionError):  # the other metrics say more then
        library.metrics.items.set(len(library.collection))
    return Response(generate_latest(library.metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.post("/api/v1/session", summary="Let the page keep a key.", responses=PROBLEMS)
def session(library: Served, request: Request, response: Response, body: SessionIn) -> SessionOut:
    """Check a key and put it into a cookie that scripts cannot read and other sites do not send."""
    keys = library.settings.keys
    if not keys:
        return SessionOut(needed=False, scopes=["read", "write"])
    key = known_key(keys, body.key)
    if key is None:
        raise RefusedError(401, "NoKey", "this API key is not known")
    response.set_cookie(
        COOKIE,
        body.key,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )
    return SessionOut(needed=True, scopes=sorted(key.scopes))
