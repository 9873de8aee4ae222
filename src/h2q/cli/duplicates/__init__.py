"""`h2q duplicates`: find them; `apply` moves those of a plan away, `undo` moves them back."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperGroup

from h2q.cli._help import examples, prose
from h2q.cli.duplicates.find import find
from h2q.cli.duplicates.moving import apply, undo

_FIND: Final = "find"


class _FindByDefault(TyperGroup):
    """`h2q duplicates photos.h2q` finds; `apply` and `undo` are said."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if len(args) > 1 and "." not in args[0] and not Path(args[0]).exists():
            meant = difflib.get_close_matches(args[0], self.commands, n=1, cutoff=0.75)
            if meant and meant[0] != args[0]:
                ctx.fail(f"there is no {args[0]!r}; did you mean {meant[0]}?")
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = [_FIND, *args]
        return super().parse_args(ctx, args)


duplicates = typer.Typer(
    name="duplicates",
    cls=_FindByDefault,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Find photos that show the same picture, and move spare ones away. "
    "[bold]h2q duplicates COLLECTION[/] is short for [bold]h2q duplicates find COLLECTION[/].",
    epilog=examples(
        "h2q duplicates photos.h2q --out duplicates.html",
        "h2q duplicates find --help",
        "h2q duplicates photos.h2q --protect ~/Pictures/best --plan plan.json",
        "h2q duplicates apply plan.json --to ~/spare",
        "h2q duplicates undo ~/spare",
    ),
)
duplicates.command(
    _FIND,
    help=prose(find),
    epilog=examples(
        "h2q duplicates photos.h2q --out duplicates.html",
        "h2q duplicates photos.h2q --protect ~/Pictures/best --plan plan.json",
        "h2q duplicates photos.h2q --json",
        "h2q duplicates items.h2q --radius 3 --out build/duplicates",
    ),
)(find)
duplicates.command(
    "apply", help=prose(apply), epilog=examples("h2q duplicates apply plan.json --to ~/spare")
)(apply)
duplicates.command(
    "undo", help=prose(undo), epilog=examples("h2q duplicates undo ~/spare/h2q-moves.jsonl")
)(undo)
