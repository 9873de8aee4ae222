"""Which index finds the items of a collection, as commands take it."""

from __future__ import annotations

import difflib
from pathlib import Path
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
    """Return what `h2q.open_collection` takes; all is checked here, before anything is stored.

    Raises
    ------
    InvalidInputError
        If the options cannot be read, there is no such index or it has no such option, the
        collection is none in a file, or options are given of an index that it does not have.
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
    _check(index or _stated(uri), given.get("index_options", {}))
    return given


def _stated(uri: str) -> str:
    """Return the index a file states, whose options are given without --index."""
    from h2q.collections import open_collection

    stated = "flat"
    if Path(uri).exists():
        with open_collection(uri, mode="r") as collection:
            stated = collection.info().index
    if stated == "flat":
        raise InvalidInputError(
            f"--index-options are of an index, and {uri} states none; give --index, too"
        )
    return stated


def _check(kind: str, options: dict[str, int]) -> None:
    from h2q.collections.index_spec import CAPABILITIES, IndexSpec

    kinds = {str(each): each for each in CAPABILITIES["embedded"].kinds}
    if kind not in kinds:
        near = difflib.get_close_matches(kind, kinds, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InvalidInputError(f"--index must be one of {', '.join(kinds)}, got {kind!r}{hint}")
    try:
        IndexSpec(kinds[kind], options).checked_for("embedded")
    except InvalidInputError as error:
        raise InvalidInputError(
            f"--index-options: {str(error).removeprefix('index_options: ')}"
        ) from error
