"""The quantizations that are compared, by the names the tables use."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from h2q.errors import InvalidInputError
from h2q.quantization import BaseQuantizer, make_quantizer

#: Which rows a rotation is fitted on: the training split's, or those and the database's.
FittedOn = Literal["train", "train+database"]


@dataclass(frozen=True)
class Quantization:
    """One way from embeddings to codes.

    Attributes
    ----------
    name : str
        As in the reference table where that has it.
    title : str
        For tables and figures.
    family : str
        Which estimator (`h2q.quantization.QUANTIZERS`).
    options : dict
        Its parameters.
    fitted_on : {"train", "train+database"}
        No labels are used either way; the second sees the items that will be searched.
    """

    name: str
    title: str
    family: str
    options: tuple[tuple[str, Any], ...] = ()
    fitted_on: FittedOn = "train"

    def estimator(self, seed: int) -> BaseQuantizer:
        """Unfitted quantizer."""
        made: BaseQuantizer = make_quantizer(self.family, random_state=seed, **dict(self.options))
        return made


def _sgd(objective: str, learning_rate: float) -> tuple[tuple[str, Any], ...]:
    # Bit variance is flat: at the rate of the others it hardly moves from its start.
    return (
        ("solver", "sgd"),
        ("objective", objective),
        ("solver_options", {"learning_rate": learning_rate}),
    )


_ALL = (
    Quantization("none", "none", "none"),
    Quantization("random", "+ random rotation", "random"),
    Quantization("itq", "+ ITQ", "itq"),
    Quantization("h2q", "+ H²Q (graduated)", "h2q"),
    Quantization("h2q-l2", "+ H²Q (SGD, L2)", "h2q", _sgd("l2", 0.1)),
    Quantization("h2q-l1", "+ H²Q (SGD, L1)", "h2q", _sgd("l1", 0.1)),
    Quantization("h2q-minentry", "+ H²Q (SGD, min entry)", "h2q", _sgd("min_entry", 0.1)),
    Quantization("h2q-bitvar", "+ H²Q (SGD, bit variance)", "h2q", _sgd("bit_variance", 10.0)),
    Quantization("itq-db", "+ ITQ, database seen", "itq", fitted_on="train+database"),
    Quantization("h2q-db", "+ H²Q (graduated), database seen", "h2q", fitted_on="train+database"),
    Quantization("penalty", "+ penalty", "none"),
    Quantization("hswd", "+ HSWD", "none"),
)
QUANTIZATIONS: Final[dict[str, Quantization]] = {entry.name: entry for entry in _ALL}
#: Quantizations that are part of the training.
TRAINED: Final = ("penalty", "hswd")
#: Quantizations made afterwards, all from the same embeddings.
POST_HOC: Final = tuple(name for name in QUANTIZATIONS if name not in TRAINED)


def check_quantizations(names: Sequence[str]) -> None:
    """Raise `InvalidInputError` for an unknown name, with the nearest known one."""
    for name in names:
        if name not in QUANTIZATIONS:
            near = difflib.get_close_matches(name, QUANTIZATIONS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InvalidInputError(
                f"unknown quantization {name!r}{hint}; one of {', '.join(QUANTIZATIONS)}"
            )
