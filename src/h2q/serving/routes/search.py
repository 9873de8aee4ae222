"""Search: by an item, a photo, a code, a vector or words; one query, or many for programs."""

from __future__ import annotations

from typing import Any, Final, cast

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool

from h2q.collections.base import Collection, Id, Neighbours, Where
from h2q.collections.http.wire import text_of_bytes
from h2q.errors import InvalidInputError
from h2q.serving.guard import RefusedError
from h2q.serving.routes._shared import PROBLEMS, Served, answered, array_in, item_facts
from h2q.serving.schemas import AskedOut, BatchIn, BatchOut, Found, SearchIn, SearchOut

router = APIRouter(prefix="/api/v1", tags=["search"], responses=PROBLEMS)

#: Neighbours in one answer at most, and queries that are looked at before they are counted.
_MOST_ANSWERS: Final = 2_000_000
_BLOCK: Final = 64


@router.post("/queries", summary="Give a photo to search with; the answer is its token.")
async def ask(library: Served, request: Request) -> AskedOut:
    """Embed the body (JPEG, PNG, WebP, ...); photos given at the same time go in one batch."""
    data = await request.body()

    def embedded() -> AskedOut:
        asked = library.asked.ask(data)
        return AskedOut(token=asked.token, code=text_of_bytes(library.asked.code_of(asked.row)))

    return await run_in_threadpool(embedded)


@router.post(
    "/search",
    summary="What is like an item, a photo, a code, a vector or words.",
    response_model=SearchOut,
)
def search(library: Served, body: SearchIn) -> Response:
    """Best first; an item is not its own neighbour."""
    found = library.searches.search(body)
    items = [
        Found(**item_facts(library, hit.item, found.places), distance=hit.distance, score=hit.score)
        for hit in found.hits
    ]
    return answered(
        SearchOut(
            rank=found.rank,
            code=text_of_bytes(found.code),
            items=items,
            histogram=found.histogram,
            milliseconds=found.seconds * 1e3,
        )
    )


@router.post(
    "/batch", summary="Neighbours of many codes or rows, for programs.", response_model=BatchOut
)
def batch(library: Served, body: BatchIn) -> Response:
    """Find the k best of each query, or all within a radius."""
    if (body.k is None) == (body.radius is None):
        raise InvalidInputError("give either k or radius")
    collection = library.collection
    queries = array_in(body.queries, collection.n_bits, "queries")
    if body.radius is not None:
        if body.rank is not None or body.oversample is not None:
            raise InvalidInputError("a radius orders by distance; leave rank and oversample out")
        found = _all_within(collection, queries, body.radius, body.where)
    else:
        k = cast(int, body.k)
        if queries.ndim > 1 and len(queries) * k > _MOST_ANSWERS:
            _check_answers(len(queries), len(queries) * min(k, len(collection)))
        found = collection.search(
            queries, k, where=body.where, rank=body.rank, oversample=body.oversample
        )
    payloads = None
    if body.payloads:
        names = list(dict.fromkeys(item_id for ids in found.ids for item_id in ids))
        held = {item.id: item.payload for item in collection.get(names) if item is not None}
        payloads = [[held.get(item_id) for item_id in ids] for ids in found.ids]
    return answered(
        BatchOut(
            ids=found.ids,
            distances=[each.tolist() for each in found.distances],
            scores=None if found.scores is None else [each.tolist() for each in found.scores],
            payloads=payloads,
        )
    )


def _all_within(
    collection: Collection, queries: NDArray[Any], radius: int, where: Where | None
) -> Neighbours:
    """Find all within a radius, some queries at a time: how many there are, nobody can tell."""
    if queries.ndim != 2 or len(queries) <= _BLOCK:
        return collection.within(queries, radius, where=where)
    ids: list[list[Id]] = []
    distances: list[NDArray[np.int32]] = []
    held = 0
    for start in range(0, len(queries), _BLOCK):
        found = collection.within(queries[start : start + _BLOCK], radius, where=where)
        held += sum(map(len, found.ids))
        _check_answers(len(queries), held)
        ids += found.ids
        distances += found.distances
    return Neighbours(ids, distances)


def _check_answers(queries: int, answers: int) -> None:
    if queries > 1 and answers > _MOST_ANSWERS:
        raise RefusedError(
            413,
            "TooLarge",
            f"an answer holds {_MOST_ANSWERS:,} neighbours at most; ask for fewer, or by fewer "
            "queries at once",
        )
