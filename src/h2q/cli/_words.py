"""Options that had another name: they work for one version more, with a warning.

The words in force, in Python and on the command line, are in ``docs/words.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from h2q.cli import _console


@dataclass(frozen=True)
class Renamed:
    """An option's name of today, and how its value is written today."""

    name: str
    value: Callable[[str], str] = str


def _pixels(megapixels: str) -> str:
    try:
        return str(int(float(megapixels) * 1_000_000))
    except ValueError:
        return megapixels  # the parser says what is wrong with it


#: By verb.
RENAMED: Final[dict[str, dict[str, Renamed]]] = {
    "eval": {"--methods": Renamed("--quantizers"), "--seeds": Renamed("--repeats")},
    "index": {"--max-megapixels": Renamed("--max-pixels", _pixels)},
    "train": {"-c": Renamed("--config")},
    "paper run": {
        "--datasets": Renamed("--data"),
        "--quantizations": Renamed("--quantizers"),
        "--weights": Renamed("--penalty-weights"),
        "--top": Renamed("-k"),
    },
    "paper table": {"--ranking": Renamed("--rank")},
}


def modern(arguments: Sequence[str]) -> list[str]:
    """Return the arguments in their order and with the names of today; warn of other names."""
    words = _quiet_first(list(arguments))
    verb = _verb(words)
    renamed = RENAMED.get(verb, {})
    out: list[str] = []
    value_of: Renamed | None = None
    for place, word in enumerate(words):
        if word == "--":  # what follows are no options
            return out + words[place:]
        name, sign, value = word.partition("=")
        known = renamed.get(name)
        if value_of is not None:
            word, value_of = value_of.value(word), None
        elif known is not None:
            _console.warn(
                f"{name} is called {known.name} now; the old name goes with the next version"
            )
            if sign:
                word = (
                    f"{known.name}={known.value(value)}"
                    if known.name.startswith("--")
                    else (f"{known.name}{known.value(value)}")
                )
            else:
                word, value_of = known.name, known
        out.append(word)
    return out


def _quiet_first(words: list[str]) -> list[str]:
    """Bring --quiet to where it belongs, before the verb: it means the same behind it."""
    options = words[: words.index("--")] if "--" in words else words
    if "--quiet" not in options:
        return words
    rest = [word for word in options if word != "--quiet"]
    return ["--quiet", *rest, *words[len(options) :]]


def _verb(words: Sequence[str]) -> str:
    verbs = [word for word in words if not word.startswith("-")]
    if verbs[:1] == ["paper"]:
        return " ".join(verbs[:2])
    return verbs[0] if verbs else ""
