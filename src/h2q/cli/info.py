"""`h2q info`: what a file, folder or collection is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from h2q.cli import _console
from h2q.cli._help import Json


def info(
    path: Annotated[
        str,
        typer.Argument(help="A collection, quantizer, model, run folder, codes or embeddings."),
    ],
    check: Annotated[
        bool,
        typer.Option("--check", help="Read a collection's whole file, and fail if it is damaged."),
    ] = False,
    json: Json = False,
) -> None:
    """Say what a file of h2q is: a collection, quantizer, model, run, codes or embeddings."""
    from h2q._describe import describe
    from h2q.collections import open_collection

    facts = describe(path)
    if check:
        with open_collection(path, mode="r") as collection:
            collection.check()
        facts["checked"] = "sound"
    if json:
        _console.print_json(facts)
        return
    _console.show(["", ""], list(_lines(facts)))


def _lines(facts: dict[str, Any], prefix: str = "") -> list[list[str]]:
    lines: list[list[str]] = []
    for name, value in facts.items():
        if value is None or value == {}:
            continue
        if isinstance(value, dict):
            lines.extend(_lines(value, f"{prefix}{name}."))
        else:
            lines.append([f"{prefix}{name}", f"{value:,}" if _is_count(value) else str(value)])
    return lines


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
