"""Names to classes, with errors that name the nearest valid spelling."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping

from torch import nn

from h2q.errors import InvalidInputError


def look_up(name: str, known: Mapping[str, type[nn.Module]], what: str) -> type[nn.Module]:
    """Find the class of that name (case and hyphens do not matter), or name the nearest."""
    key = name.lower().replace("-", "_").replace("²", "2")
    if key not in known:
        raise InvalidInputError(
            f"there is no {what} {name!r}{nearest(key, known)}; known: {', '.join(sorted(known))}"
        )
    return known[key]


def build(
    kind: Callable[..., nn.Module],
    name: str,
    given: Mapping[str, object],
    options: Mapping[str, object],
) -> nn.Module:
    """`kind(**given, **options)`, dropping what `kind` does not take of `given` but no option."""
    # A class without a constructor of its own shows nn.Module's *args and **kwargs: no options.
    accepted = [
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    for option in options:
        if option not in accepted or option in given:
            own = [p for p in accepted if p not in given]
            raise InvalidInputError(
                f"{name!r} has no option {option!r}{nearest(option, own)}; "
                f"it takes: {', '.join(own) or 'none'}"
            )
    return kind(**{k: v for k, v in given.items() if k in accepted}, **options)


def first_line(kind: type[nn.Module]) -> str:
    """First line of the class's docstring, without its full stop."""
    return (inspect.getdoc(kind) or "").split("\n", 1)[0].rstrip(".")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ": did you mean 'x'?" for the nearest known word, or nothing."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.4)
    return f": did you mean {matches[0]!r}?" if matches else ""
