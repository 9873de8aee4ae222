"""`h2q list`, `h2q get` and `h2q delete`: the items of a collection."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from h2q.cli import _console
from h2q.cli._help import Json
from h2q.cli._where import hint_fields, parse_where
from h2q.errors import InvalidInputError

if TYPE_CHECKING:
    from h2q.collections.base import Collection, Id

Name = Annotated[str, typer.Argument(help="The collection, such as photos.h2q.")]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", "-w", help="Only items with, say, label=cat or 'taken>=2024-06'."),
]

_AT_ONCE = 1000


def list_(
    collection: Name,
    where: Where = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="No more than so many.")
    ] = None,
    json: Json = False,
) -> None:
    """[bold]List[/] the ids of a collection, one a line, in the order they were added.

    With --json one object a line, with id and payload.
    """
    from h2q.collections import open_collection

    with open_collection(collection, mode="r") as opened:
        condition = parse_where(where or [])
        batches = opened.iterate(_AT_ONCE, where=condition)
        pairs = (pair for batch in batches for pair in zip(batch.ids, batch.payloads, strict=True))
        found = False
        for item_id, payload in islice(pairs, limit):
            found = True
            if json:
                _console.print_json({"id": item_id, "payload": payload})
            else:
                _console.print_line(str(item_id))
        if not found:
            hint_fields(opened, condition)
            if condition is None:
                _console.note(f"{collection} is empty; h2q index brings something in")


def get(
    collection: Name,
    ids: Annotated[list[str], typer.Argument(help="Ids of items.")],
    json: Json = False,
) -> None:
    """[bold]Get[/] items by their ids: all that is stored of each."""
    from h2q.collections import open_collection

    with open_collection(collection, mode="r") as opened:
        items = [_item(opened, each) for each in ids]
        n_bits = opened.n_bits
    if json:
        _console.print_json(
            [
                {"id": i.id, "code": i.code.tobytes().hex(), "n_bits": n_bits, "payload": i.payload}
                for i in items
            ]
        )
        return
    for item in items:
        rows = [["code", item.code.tobytes().hex()]]
        rows += [[name, str(value)] for name, value in (item.payload or {}).items()]
        _console.show(["", ""], rows, title=str(item.id))


def delete(
    collection: Name,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of items.")] = None,
    where: Where = None,
    json: Json = False,
) -> None:
    """[bold]Delete[/] items from a collection, by id or by a condition; no file is touched."""
    from h2q.collections import open_collection

    condition = parse_where(where or [])
    if (ids is None) == (condition is None):
        raise typer.BadParameter("give either ids or --where")
    if ids is None and condition in ({}, {"$and": []}):
        raise typer.BadParameter(
            "is met by every item; to be rid of all of them remove the collection",
            param_hint="--where",
        )
    open_collection(collection, mode="r").close()  # says best that there is none
    with open_collection(collection) as opened:
        doomed: list[Id]
        if ids is not None:
            doomed = [_item(opened, each).id for each in ids]
        else:
            doomed = [i for batch in opened.iterate(_AT_ONCE, where=condition) for i in batch.ids]
        removed = opened.delete(doomed)
        if not doomed:
            hint_fields(opened, condition)
    if json:
        _console.print_json({"collection": collection, "deleted": removed})
    else:
        _console.out().print(f"{removed:,} deleted from {collection}", markup=False)


def _item(collection: Collection, item_id: str) -> Any:
    from h2q.searching.searcher import readings_of

    found = next((i for i in collection.get(readings_of(item_id)) if i is not None), None)
    if found is None:
        raise InvalidInputError(
            f"the collection {collection.uri} holds no item {_console.name(item_id)}"
        )
    return found
