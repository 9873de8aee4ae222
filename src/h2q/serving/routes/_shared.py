"""What several routes need: the library, and items as they are answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response
from numpy.typing import NDArray

from h2q.collections.base import Id, Item
from h2q.collections.http.wire import array_of_json, codes_of_text, key_of, text_of_bytes
from h2q.errors import H2QError, InvalidInputError
from h2q.serving.library import Library
from h2q.serving.schemas import ArrayIn, Model, Problem

#: What any route of the API may answer instead.
PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": Problem, "description": text}
    for status, text in {
        400: "The request cannot be read.",
        401: "An API key is needed.",
        403: "The key has no such scope, the server only reads, or another origin asks.",
        404: "There is no such item.",
        409: "The collection is of another kind.",
        413: "The body is too large.",
        421: "The server is not known by that host.",
        422: "The input cannot be used; the message says why.",
        429: "Too many requests.",
        503: "The collection cannot be reached or written.",
    }.items()
}


class NotFoundError(H2QError):
    """There is no such item."""


async def _library(request: Request) -> Library:  # else a thread is asked for it
    library: Library = request.app.state.library
    return library


Served = Annotated[Library, Depends(_library)]


def item_facts(
    library: Library, item: Item, places: Mapping[Id, int] | None = None
) -> dict[str, Any]:
    """Return the fields of an item as it is answered."""
    return {
        "key": key_of(item.id),
        "id": item.id,
        "place": None if places is None else places.get(item.id),
        "code": text_of_bytes(item.code),
        "payload": item.payload,
        "photo": library.photos.shows(item.payload),
    }


def answered(body: Model) -> Response:
    """Return an answer whose JSON is made in this thread, and checked once."""
    return Response(body.model_dump_json(), media_type="application/json")


def array_in(given: str | ArrayIn, n_bits: int, name: str) -> NDArray[Any]:
    """Read an array of a request: one that says what it is, or the bytes of packed codes.

    Raises
    ------
    InvalidInputError
        If it is none.
    """
    if isinstance(given, str):
        return codes_of_text(given, n_bits, name)
    return array_of_json(given.dtype, given.shape, given.data, name)


def json_object(text: str | None, name: str) -> dict[str, Any] | None:
    """Read a parameter that is a JSON object.

    Raises
    ------
    InvalidInputError
        If it is none.
    """
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{name} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidInputError(f'{name} is a JSON object such as {{"label": "cat"}}')
    return value
