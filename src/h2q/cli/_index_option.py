"""Which index finds the items of a collection, as commands take it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from h2q.errors import InvalidInputError

IndexOption = Annotated[
    str | None,
    typer.Option(
        "--index",
        help="Which index finds the items of a file from now on: flat, ivf, ivf_asymmetric (for "
        "real queries), hnsw or mih. It is built at the end.",
    ),
]
IndexOptions = Annotated[
    str | None,
    typer.Option("--index-options", help="Options of the index, such as nlist=4096,nprobe=128."),
]


def index_asked_for(uri: str, index: str | None, options: str | None) -> dict[str, Any]:
    """Return what `h2q.open_collection` takes.

    Raises
    ------
    InvalidInputError
        If the options cannot be read, or the collection is none in a file.
    """
    if index is None and options is None:
        return {}
    if "://" in uri:
        raise InvalidInputError(
            f"--index is of a collection in a file; {uri} has the index it was made with"
        )
    given: dict[str, Any] = {} if index is None else {"index": index}
    if options is not None:
        pairs = [each.partition("=") for each in options.split(",")]
        if not all(name.strip() and number.strip().isdecimal() for name, _, number in pairs):
            raise InvalidInputError(
                f"--index-options are such as nlist=4096,nprobe=128, got {options!r}"
            )
        given["index_options"] = {name.strip(): int(number) for name, _, number in pairs}
    return given
