"""Items: add, get, list, delete, and everything a program needs to use a collection from afar."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from h2q.collections.base import Id, Item
from h2q.collections.http.wire import id_of, text_of_bytes
from h2q.errors import InvalidInputError
from h2q.serving.library import Library
from h2q.serving.routes._shared import (
    PROBLEMS,
    NotFoundError,
    Served,
    array_in,
    item_facts,
    json_object,
)
from h2q.serving.schemas import (
    Added,
    AddIn,
    Counted,
    Deleted,
    IdsIn,
    ItemOut,
    ItemsOut,
    KeysIn,
    PlacesIn,
    ScanIn,
    Stored,
    WhereIn,
)
from h2q.serving.uploads import Part

router = APIRouter(prefix="/api/v1", tags=["items"], responses=PROBLEMS)


@router.post("/items", summary="Add items, or replace those whose id is held; all or none.")
def add(library: Served, request: Request, body: AddIn) -> Added:
    """Durable when answered."""
    part = Part(
        body.ids,
        None if body.codes is None else array_in(body.codes, library.collection.n_bits, "codes"),
        None if body.embeddings is None else array_in(body.embeddings, 0, "embeddings"),
        body.payloads,
    )
    if body.upload is not None:
        size = int(request.headers.get("content-length", library.settings.max_body))
        whole = library.uploads.take(body.upload, part, size)
        if whole is None:
            return Added(added=0, count=len(library.collection))
        part = whole
    library.add(part.ids, part.codes, part.payloads, part.embeddings)
    return Added(added=len(part.ids), count=len(library.collection))


@router.post("/items/photo", summary="Add a photo by its bytes; the server encodes it.")
async def add_photo(
    library: Served,
    request: Request,
    item_id: Annotated[str, Query(alias="id", min_length=1, max_length=1000)],
    payload: Annotated[str | None, Query(description="A JSON object.", max_length=65_536)] = None,
) -> Added:
    """Embed the body (JPEG, PNG, WebP, ...) and store its code; the photo itself is not kept."""
    data = await request.body()

    def store() -> Added:
        library.add_photo(item_id, data, json_object(payload, "payload"))
        return Added(added=1, count=len(library.collection))

    return await run_in_threadpool(store)


@router.post("/items/get", summary="Items by id, in the order asked for.")
def get(library: Served, body: IdsIn) -> Stored:
    """Null where an id is not held."""
    return Stored(items=[_stored(item) for item in library.collection.get(body.ids)])


@router.post("/items/delete", summary="Delete items by id; unknown ids are passed over.")
def delete(library: Served, body: IdsIn) -> Deleted:
    """Say how many were held."""
    return Deleted(deleted=library.delete(body.ids))


@router.post("/items/remove", summary="Delete items by key; unknown keys are passed over.")
def remove(library: Served, body: KeysIn) -> Deleted:
    """Say how many were held."""
    return Deleted(deleted=library.delete([id_of(key) for key in body.keys]))


@router.post("/items/count", summary="Count the items that meet a condition.")
def count(library: Served, body: WhereIn) -> Counted:
    """Without a condition, all."""
    return Counted(count=library.collection.count(body.where))


@router.post("/items/at", summary="Items by place, for a stretch of the grid or the map.")
def at(library: Served, body: PlacesIn) -> ItemsOut:
    """Places beyond the last are passed over."""
    catalog = library.catalog()
    if body.stamp is not None and body.stamp != catalog.stamp:
        raise InvalidInputError("the items have changed; load the map again")
    ids = [catalog.ids[place] for place in body.places if 0 <= place < len(catalog)]
    return _stretch(library, ids, len(ids), 0)


@router.get("/items", summary="A stretch of all items, or of those that meet a condition.")
def stretch(
    library: Served,
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    where: Annotated[str | None, Query(description="A JSON object.", max_length=65_536)] = None,
) -> ItemsOut:
    """In the order of adding."""
    catalog = library.catalog()
    condition = json_object(where, "where")
    if condition is None:
        return _stretch(library, catalog.ids[offset : offset + limit], len(catalog), offset)
    places = np.flatnonzero(catalog.mask(library.collection, condition))
    ids = [catalog.ids[place] for place in places[offset : offset + limit]]
    return _stretch(library, ids, len(places), offset)


@router.get("/items/{key:path}", summary="One item by its key.")
def one(library: Served, key: str) -> ItemOut:
    """404 where the collection holds none."""
    item = library.item(id_of(key))
    if item is None:
        raise NotFoundError(f"the collection holds no item {key}")
    return ItemOut(**item_facts(library, item, library.catalog().place_of))


@router.post(
    "/scan",
    summary="All items, or those that meet a condition, as lines of JSON.",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
)
def scan(library: Served, body: ScanIn) -> StreamingResponse:
    """Each line is a list of items with id, code and payload; the last line is null."""
    batches = library.collection.iterate(body.batch_size, body.where)

    def lines() -> Iterator[str]:
        for batch in batches:
            items = [
                {"id": item_id, "code": text_of_bytes(code), "payload": payload}
                for item_id, code, payload in zip(
                    batch.ids, batch.codes, batch.payloads, strict=True
                )
            ]
            yield json.dumps(items) + "\n"
        yield "null\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@router.get(
    "/artifacts/{name}",
    summary="The quantizer, model or decoder kept with the codes, as a file of h2q.",
    response_class=Response,
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"format": "binary"}}}},
    },
)
def artifact(library: Served, name: str) -> Response:
    """404 where it keeps none."""
    collection = library.collection
    data = collection.artifact_bytes(name)
    if data is None:
        raise NotFoundError(f"the collection keeps no {name[:40]}")
    return Response(data, media_type="application/octet-stream")


def _stored(item: Item | None) -> Stored.One | None:
    if item is None:
        return None
    return Stored.One(id=item.id, code=text_of_bytes(item.code), payload=item.payload)


def _stretch(library: Library, ids: list[Id], total: int, offset: int) -> ItemsOut:
    catalog = library.catalog()
    items = [
        ItemOut(**item_facts(library, item, catalog.place_of))
        for item in library.collection.get(ids)
        if item is not None  # deleted since the catalog was made
    ]
    return ItemsOut(total=total, offset=offset, stamp=catalog.stamp, items=items)
