"""Search: by an item, a photo, a code, a vector or words; one query, or many for programs."""

from __future__ import annotations

from typing import Any, cast

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from h2q.errors import InvalidInputError
from h2q.serving.routes._shared import PROBLEMS, Served, item_facts
from h2q.serving.schemas import AskedOut, BatchIn, BatchOut, Found, SearchIn, SearchOut
from h2q.serving.wire import codes_of_text, rows_of_text, text_of_bytes

router = APIRouter(prefix="/api/v1", tags=["search"], responses=PROBLEMS)


@router.post("/queries", summary="Give a photo to search with; the answer is its token.")
async def ask(library: Served, request: Request) -> AskedOut:
    """Embed the body (JPEG, PNG, WebP, ...); photos given at the same time go in one batch."""
    data = await request.body()

    def embedded() -> AskedOut:
        asked = library.ask(data)
        return AskedOut(token=asked.token, code=text_of_bytes(library.code_of(asked.row)))

    return await run_in_threadpool(embedded)


@router.post("/search", summary="What is like an item, a photo, a code, a vector or words.")
def search(library: Served, body: SearchIn) -> SearchOut:
    """Best first; an item is not its own neighbour."""
    found = library.search(body)
    places = library.catalog().place_of
    items = [
        Found(**item_facts(library, hit.item, places), distance=hit.distance, score=hit.score)
        for hit in found.hits
    ]
    return SearchOut(
        rank=found.rank,
        code=text_of_bytes(found.code),
        items=items,
        histogram=found.histogram,
        milliseconds=found.seconds * 1e3,
    )


@router.post("/batch", summary="Neighbours of many codes or rows, for programs.")
def batch(library: Served, body: BatchIn) -> BatchOut:
    """Find the k best of each query, or all within a radius."""
    if (body.codes is None) == (body.rows is None):
        raise InvalidInputError("give either codes or rows")
    if (body.k is None) == (body.radius is None):
        raise InvalidInputError("give either k or radius")
    collection = library.collection
    queries: Any = (
        codes_of_text(body.codes, collection.n_bits)
        if body.codes is not None
        else rows_of_text(body.rows or "", body.columns)
    )
    if body.radius is not None:
        found = collection.within(queries, body.radius, where=body.where)
    else:
        found = collection.search(
            queries,
            cast(int, body.k),
            where=body.where,
            rank=cast(Any, body.rank),
            oversample=body.oversample,
        )
    return BatchOut(
        ids=found.ids,
        distances=[each.tolist() for each in found.distances],
        scores=None if found.scores is None else [each.tolist() for each in found.scores],
    )
