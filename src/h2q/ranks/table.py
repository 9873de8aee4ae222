"""The table of ranks, and the choice of one."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from functools import cache
from typing import Any, Final

from h2q.errors import InvalidInputError
from h2q.ranks.keeping import KEEPS_OF_ROWS, Keep
from h2q.ranks.spec import Artifact, Queries, RankSpec


def _from(module: str, name: str) -> Any:
    """Return a function that is imported when it is first called: a table costs nothing to read."""

    @cache
    def imported() -> Any:
        return getattr(importlib.import_module(f"h2q.ranks.{module}"), name)

    def call(*given: Any) -> Any:
        return imported()(*given)

    return call


_ROWS: Final = (
    RankSpec(
        "hamming",
        "the distance of the codes",
        needs_rows=False,
    ),
    RankSpec(
        "asymmetric",
        "the inner product of the real query and the code as signs, or with the row behind them",
        score=_from("signs", "score"),
        prepare=_from("signs", "prepare"),
        scorer=_from("signs", "scorer"),
        is_default=True,
        score_is="the inner product of the rotated query with the code as signs {-1, +1}; of a "
        "quantizer that centres, as the rank linear with the quantizer's own decoder",
    ),
    RankSpec(
        "decoded",
        "the inner product of the real query and the row expected behind the code",
        score=_from("decoded", "score"),
        prepare=_from("decoded", "prepare"),
        needs=("decoder",),
        score_is="the inner product of the unit query and the expected row over sqrt(n_bits)",
    ),
    RankSpec(
        "linear",
        "the cosine of the real query and the row a linear decoder rebuilds from the code",
        score=_from("reconstructed", "score"),
        prepare=_from("reconstructed", "prepare_linear"),
        needs=("linear decoder",),
        score_is="the product of the unit query and the rebuilt row, over a power of its length",
    ),
    RankSpec(
        "reconstructed",
        "the cosine of the real query and the row the quantizer rebuilds from the code",
        score=_from("reconstructed", "score"),
        prepare=_from("reconstructed", "prepare"),
        scorer=_from("reconstructed", "scorer"),
        suits=_from("reconstructed", "brings_rows_back"),
        is_default=True,
        score_is="the product of the unit query and the rebuilt row, over a power of its length",
    ),
    RankSpec(
        "calibrated",
        "the cosine estimated from the code and the row's scale",
        score=_from("calibrated", "score"),
        prepare=_from("calibrated", "prepare"),
        suits=_from("records", "keeps_rows_of"),
        keeps=("scale", *KEEPS_OF_ROWS),
        score_is="the cosine of the rotated query and the item's row, estimated",
        bytes_kept="k/8 + 2",
    ),
    RankSpec(
        "embedding",
        "the distance of the codes, its ties by that of the kept rows (the paper's)",
        score=_from("cosine", "score"),
        prepare=_from("cosine", "prepare"),
        suits=_from("records", "keeps_rows_of"),
        keeps=KEEPS_OF_ROWS,
        distance_first=True,
        score_is="the cosine of the rotated query and the kept row",
        bytes_kept="k/8 + k, k/8 + 2k",
    ),
    RankSpec(
        "cosine",
        "the cosine of the real query and the kept row",
        score=_from("cosine", "score"),
        prepare=_from("cosine", "prepare"),
        suits=_from("records", "keeps_rows_of"),
        keeps=KEEPS_OF_ROWS,
        score_is="the cosine of the rotated query and the kept row",
        bytes_kept="k/8 + k, k/8 + 2k",
    ),
)
#: Every rank by its name. A new one is a file with its functions and a row above, or, in a program
#: of one's own, a call of `register_rank`.
RANKS: Final[dict[str, RankSpec]] = {rank.name: rank for rank in _ROWS}

#: Those that quantizers are compared by, in the order of the columns; "cosine" is their bound.
JUDGED: Final = ("hamming", "asymmetric", "embedding")

#: The classes of what a rank may need.
_MADE_BY: Final[dict[Artifact, str]] = {
    "decoder": "h2q.CodeDecoder",
    "linear decoder": "h2q.LinearDecoder",
}


def register_rank(rank: RankSpec) -> None:
    """Add a rank to the table; one of the same name is replaced."""
    RANKS[rank.name] = rank


def rank_names() -> list[str]:
    """Names of all ranks, in the order of the table."""
    return list(RANKS)


def rank_named(name: str) -> RankSpec:
    """Return the rank of this name.

    Raises
    ------
    InvalidInputError
        If there is none.
    """
    found = RANKS.get(name) if isinstance(name, str) else None
    if found is None:
        raise InvalidInputError(f"rank must be one of {', '.join(RANKS)}, got {name!r}")
    return found


def refuse_text(what: str, names: object, example: object) -> None:
    """Refuse one text where a sequence of names is due: its letters would be taken for names.

    Raises
    ------
    InvalidInputError
        If `names` is a str, or no sequence at all; None is nothing said.
    """
    if names is None or (isinstance(names, Collection) and not isinstance(names, str | bytes)):
        return
    kind = "text" if isinstance(names, str) else type(names).__name__
    raise InvalidInputError(
        f"{what} is the {kind} {names!r:.80}; give a sequence of names, such as ({example!r},)"
    )


def is_shipped(rank: RankSpec) -> bool:
    """Whether a rank is h2q's own, and no other one registered under its name."""
    return any(rank is each for each in _ROWS)


def choose_rank(name: str | None, queries: Queries, keep: Keep) -> RankSpec:
    """Choose the rank: the one asked for, or the best that queries and codes alone allow.

    Raises
    ------
    InvalidInputError
        If there is no such rank, or the queries or what the collection keeps do not allow it.
    """
    if name is None:
        if queries.rows is None:
            return RANKS["hamming"]
        usual = [r for r in RANKS.values() if r.is_default and r.suits(queries.quantizer)]
        return usual[-1]
    rank = rank_named(name)
    if rank.needs_rows and queries.rows is None:
        raise InvalidInputError(
            f"the rank {rank.name!r} needs real queries, got packed codes; pass the rows that "
            "were coded (rotated where the collection has no quantizer) or rank='hamming'"
        )
    for need in rank.needs:
        if not has_artifact(queries.decoder, need, queries.quantizer):
            raise InvalidInputError(
                f"the rank {rank.name!r} needs a collection made with a {need} "
                f"({_MADE_BY[need]}); make another with open_collection(..., decoder=...) and "
                "add the items"
            )
    if not rank.suits(queries.quantizer):
        raise InvalidInputError(
            f"the rank {rank.name!r} does not suit the quantizer of this collection; leave rank out"
        )
    if rank.keeps and keep not in rank.keeps:
        enough = " or ".join(f"keep={each!r}" for each in rank.keeps)
        raise InvalidInputError(
            f"the rank {rank.name!r} needs a collection made with {enough}; this one has "
            f"keep={keep!r}. Make another and add the items with their embeddings"
        )
    return rank


def class_of_artifact(need: Artifact) -> str:
    """Return the class of what a rank needs, such as "h2q.CodeDecoder"."""
    return _MADE_BY[need]


def has_artifact(decoder: Any, need: Artifact, quantizer: Any = None) -> bool:
    """Whether a decoder (or None) is the one a rank needs, or the quantizer brings one."""
    linear = hasattr(decoder, "weights_")
    if need == "linear decoder":
        return linear or getattr(quantizer, "decoder_", None) is not None
    return decoder is not None and not linear


def shortlist_rank(quantizer: Any) -> RankSpec:
    """Return the rank that finds shortlists for others where all codes can be scanned."""
    return [r for r in RANKS.values() if r.is_default and r.scorer and r.suits(quantizer)][-1]


def as_markdown() -> str:
    """Return the table as it stands in ``docs/ranking.md``."""
    lines = [
        "| rank | orders items by | needs | bytes an item, k bits |",
        "|---|---|---|---|",
    ]
    for rank in RANKS.values():
        needs = [f"a `{name}`" for name in rank.needs]
        if rank.keeps:
            needs.append("`keep` " + " or ".join(f"`{keep}`" for keep in rank.keeps))
        if rank.needs_rows:
            needs.insert(0, "a real query")
        lines.append(
            f"| `{rank.name}` | {rank.orders_by} | {', '.join(needs) or 'nothing'} | "
            f"{rank.bytes_kept} |"
        )
    return "\n".join(lines)


def help_text() -> str:
    """Return what the command line says of its option `--rank`."""
    words = []
    for rank in RANKS.values():
        needs: list[str] = list(rank.needs)
        if rank.keeps:
            needs.append(f"--keep {' or '.join(rank.keeps)}")
        after = [f"needs {', '.join(needs)}"] if needs else []
        if rank.is_default:
            after.insert(0, "the default for real queries it suits")
        words.append(f"{rank.name}: {rank.orders_by}" + (f" ({'; '.join(after)})" if after else ""))
    return ". ".join(words) + "."


def judged_text() -> str:
    """Return what the command line says of the ranks that quantizers are compared by."""
    named = [f"[bold]{name}[/] ({RANKS[name].orders_by})" for name in JUDGED]
    return f"{', '.join(named[:-1])} and {named[-1]}"
