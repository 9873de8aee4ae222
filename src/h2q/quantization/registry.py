"""Quantizers by name: the one table that commands, training, comparisons and files go by."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from h2q._own_code import import_code
from h2q.errors import InvalidInputError

#: The longest code that is learned: of it a square table is kept, of a gigabyte at this length.
MOST_LEARNED_BITS: Final = 1 << 14


@dataclass(frozen=True)
class QuantizerEntry:
    """A quantizer that has a name.

    Attributes
    ----------
    name : str
    title : str
        What tables and figures call it.
    class_name, module : str
        The estimator and where it lives; imported when it is used.
    options : mapping
        Parameters that make this name of the class.
    rotates : bool
        Whether what it learns is a rotation (`rotation_`), which a trained model can hold.
    """

    name: str
    title: str
    class_name: str
    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    rotates: bool = True

    @property
    def estimator(self) -> type[Any]:
        """The class."""
        found: type[Any] = getattr(importlib.import_module(self.module), self.class_name)
        return found


def _entry(name: str, title: str, class_name: str, module: str, **options: Any) -> QuantizerEntry:
    return QuantizerEntry(name, title, class_name, f"h2q.quantization.{module}", options)


QUANTIZERS: Final[dict[str, QuantizerEntry]] = {
    each.name: each
    for each in (
        _entry("none", "none (sign)", "SignQuantizer", "sign"),
        _entry("random", "random rotation", "RandomRotationQuantizer", "random_rotation"),
        _entry("itq", "ITQ", "ITQQuantizer", "itq"),
        _entry("h2q", "H²Q (graduated)", "HouseholderQuantizer", "householder"),
        _entry(
            "h2q-sgd", "H²Q (sgd, the paper)", "HouseholderQuantizer", "householder", solver="sgd"
        ),
        _entry(
            "h2q-procrustes", "H²Q (procrustes)", "HouseholderQuantizer", "householder",
            solver="procrustes",
        ),
        QuantizerEntry(
            "local-search", "local search", "LocalSearchQuantizer", "h2q.quantization.local_search",
            rotates=False,
        ),
    )
}  # fmt: skip
#: Other words for the same.
_ALIASES: Final = {"sign": "none", "h2q-graduated": "h2q"}
#: The classes a file may name, and where they live; nothing else is ever imported or called.
CLASSES: Final = {each.class_name: each.module for each in QUANTIZERS.values()}


def get_quantizer(name: str) -> QuantizerEntry:
    """Return the entry of a name, or of a class of one's own.

    Parameters
    ----------
    name : str
        A name of `QUANTIZERS`, or ``package.module:ClassName`` of an estimator with ``fit``,
        ``transform``, ``rotate`` and ``quantization_error`` (`BaseQuantizer` has the last three).

    Raises
    ------
    InvalidInputError
        For another name, with the nearest; for a class that cannot be imported or lacks a method.
    """
    if not isinstance(name, str):
        raise InvalidInputError(
            f"the name of a quantizer is a text such as 'itq', got {name!r:.80}"
        )
    if ":" in name:
        return _own(name)
    known = _ALIASES.get(name, name)
    if known in QUANTIZERS:
        return QUANTIZERS[known]
    raise InvalidInputError(
        f"unknown quantizer {name!r}; one of {', '.join(QUANTIZERS)}, or package.module:MyQuantizer"
        f"{hint_at_name(name, [*QUANTIZERS, *_ALIASES])}"
    )


def hint_at_name(name: str, known: Iterable[str] = QUANTIZERS) -> str:
    """Return ``"; did you mean 'itq'?"`` for the known name nearest to `name`; "" for none near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def make_quantizer(
    name: str, n_bits: int | None = None, *, random_state: Any = None, **options: Any
) -> Any:
    """Make an unfitted quantizer by name.

    Parameters
    ----------
    name : str
        As `get_quantizer` takes it.
    n_bits : int, optional
        Length of the codes; the dimension of the rows by default.
    random_state : int, Generator or None
        Seed, for those that draw.
    **options
        Parameters of the class.

    Raises
    ------
    InvalidInputError
        If the name is unknown, or the class has no such parameter.

    Examples
    --------
    >>> make_quantizer("itq", 32, random_state=0)
    ITQQuantizer(n_bits=32, random_state=0)
    """
    entry = get_quantizer(name)
    kind = entry.estimator
    taken = inspect.signature(kind).parameters
    anything = any(each.kind is each.VAR_KEYWORD for each in taken.values())
    settings: dict[str, Any] = {**entry.options, **options}
    unknown = [] if anything else sorted(settings.keys() - taken.keys())
    if unknown:
        raise InvalidInputError(
            f"the quantizer {name!r} takes no {unknown[0]!r}; it takes {', '.join(taken) or 'none'}"
        )
    if anything or "random_state" in taken:
        settings["random_state"] = random_state
    if n_bits is not None and not anything and "n_bits" not in taken:
        raise InvalidInputError(
            f"the quantizer {name!r} takes no n_bits, so it cannot make {n_bits}"
        )
    return kind(**({} if n_bits is None else {"n_bits": n_bits}), **settings)


def _own(name: str) -> QuantizerEntry:
    module, _, class_name = name.partition(":")
    found = import_code(name, "quantizer")
    needed = ("fit", "transform", "rotate", "quantization_error")
    missing = [each for each in needed if not callable(getattr(found, each, None))]
    if not isinstance(found, type) or missing:
        what = f"lacks {', '.join(missing)}" if missing else "is no class"
        raise InvalidInputError(
            f"the quantizer {name!r} {what}; derive it from h2q.quantization.BaseQuantizer"
        )
    return QuantizerEntry(name, class_name, class_name, module)
