"""What a caller says a collection is, or is to be, made of; and what one that exists is made of."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias

from h2q._paths import as_path
from h2q._typing import StrPath
from h2q._version import __version__
from h2q.codes import BIT_ORDER, code_width
from h2q.collections.artifacts import (
    ArtifactFacts,
    Decoder,
    Quantizer,
    Source,
    bits_of_model,
    fingerprint,
)
from h2q.collections.index_spec import (
    IndexKind,
    IndexSpec,
    Reopened,
    new_index,
    reopened_index,
)
from h2q.errors import CollectionError, CompatibilityError, InvalidInputError
from h2q.ranks import Keep, check_keep
from h2q.ranks.records import keeps_rows_of

Mode: TypeAlias = Literal["a", "r"]
_LONGEST_WAIT_S: Final = 1e9


#: Collections named where another was meant, at most.
_NEARBY: Final = 5


@dataclass(frozen=True)
class Facts:
    """What a collection states of itself.

    Attributes
    ----------
    engine : str
    format_version : int
    n_bits : int
    keep : str
    index : IndexSpec
        By which this object finds items.
    artifacts : dict of str to ArtifactFacts
        What is kept with the items.
    created_by : str
        Version of h2q that made it.
    bit_order : str
    """

    engine: str
    format_version: int
    n_bits: int
    keep: Keep = "codes"
    index: IndexSpec = field(default_factory=IndexSpec)
    artifacts: Mapping[str, ArtifactFacts] = field(default_factory=dict)
    created_by: str = __version__
    bit_order: str = BIT_ORDER


@dataclass(frozen=True)
class OpenRequest:
    """All that was handed to `h2q.open_collection`, checked; every engine gets this one object.

    Attributes
    ----------
    n_bits : dict
        The code length by whom it is stated: "n_bits", "quantizer", "model", "decoder".
    sources : dict
        The artifacts' contents: "quantizer", "model", "decoder".
    keep : str or None
        What is to be kept of each real row.
    mode : {"a", "r"}
    index, index_options
        As the caller gave them.
    timeout : float or None
        Seconds.
    learner : quantizer or None
        One that is not fitted yet: the first rows that are added fit it.
    learner_name : str or None
        The name it was asked for by.
    """

    n_bits: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    keep: Keep | None = None
    mode: Mode = "a"
    index: IndexKind | None = None
    index_options: Mapping[str, int] | None = None
    timeout: float | None = None
    learner: Any = None
    learner_name: str | None = None

    @classmethod
    def of(
        cls,
        *,
        n_bits: int | None = None,
        quantizer: Quantizer | str | None = None,
        model: StrPath | bytes | None = None,
        decoder: Decoder | None = None,
        mode: Mode = "a",
        keep: str | None = None,
        index: IndexKind | None = None,
        index_options: Mapping[str, int] | None = None,
        timeout: float | None = None,
    ) -> Self:
        """Check what was handed over and put it together.

        Raises
        ------
        InvalidInputError
            If something cannot be used, or the code lengths contradict each other.
        FormatError
            If the model is none.
        """
        if mode not in ("a", "r"):
            raise InvalidInputError(f"mode is 'a' (read and write) or 'r' (read), got {mode!r}")
        if index_options is not None and not isinstance(index_options, Mapping):
            raise InvalidInputError(
                f"index_options is a mapping such as {{'m': 16}}, got {index_options!r:.80}"
            )
        if index is not None:
            IndexSpec(index, index_options or {})  # refuses what is unknown, before anything else
        lengths: dict[str, int] = {}
        sources: dict[str, Source] = {}
        learner = None
        if n_bits is not None:
            code_width(n_bits)
            lengths["n_bits"] = int(n_bits)
        if quantizer is not None:
            learner = _learner(quantizer, n_bits)
            if learner is None:
                fitted: Any = quantizer
                sources["quantizer"] = fitted.to_bytes()
                lengths["quantizer"] = int(fitted.n_bits_)
            elif learner.n_bits is not None:
                lengths["quantizer"] = int(learner.n_bits)
        if decoder is not None:
            if isinstance(decoder, type | int) or not hasattr(decoder, "to_bytes"):
                raise InvalidInputError(
                    f"decoder is a fitted CodeDecoder or LinearDecoder of h2q, got {decoder!r}; by "
                    "its name it is fitted while rows come in: h2q.ingest.ingest(..., "
                    "decoder='code'), or h2q.quantization.fit_decoder('code', rows, quantizer)"
                )
            sources["decoder"] = decoder.to_bytes()
            lengths["decoder"] = int(decoder.n_bits_)
        if model is not None:
            source = model if isinstance(model, bytes) else as_path(model, "the model")
            sources["model"] = source
            lengths["model"] = bits_of_model(source)
        if len(set(lengths.values())) > 1:
            stated = ", ".join(f"{name}: {bits} bits" for name, bits in lengths.items())
            raise InvalidInputError(
                f"the code length is contradictory ({stated}); leave n_bits out"
            )
        kept = None if keep is None else check_keep(keep)
        if kept not in (None, "codes") and not keeps_rows_of(
            quantizer if learner is None else learner
        ):
            raise InvalidInputError(
                f"a collection made with a {type(quantizer).__name__} keeps codes alone, got "
                f"keep={kept!r}: what its rotate returns are not the items' rows; leave keep out"
            )
        named = quantizer if isinstance(quantizer, str) else None
        return cls(
            lengths, sources, kept, mode, index, index_options, _seconds(timeout), learner, named
        )  # fmt: skip

    def to_make(self, where: object) -> int:
        """Return the code length of the collection to be made at `where`.

        Raises
        ------
        CollectionError
            If none is to be made: it is only to be read, or nobody states the code length.
        """
        if self.mode == "r":
            raise CollectionError(f"{where}: there is no such collection to read{_nearby(where)}")
        if not self.n_bits:
            raise CollectionError(
                f"{where}: there is no such collection; give n_bits, a quantizer or a model to "
                f"make one{_nearby(where)}"
            )
        return next(iter(self.n_bits.values()))

    def new_index(self, engine: str) -> IndexSpec:
        """Return the index of the collection to be made."""
        return new_index(engine, self.index, self.index_options)

    def reopened_index(
        self, engine: str, where: object, stated: IndexSpec, *, search_options_are_kept: bool = True
    ) -> Reopened:
        """Return the index a collection that states one is to be searched by."""
        return reopened_index(
            engine,
            where,
            stated,
            self.index,
            self.index_options,
            search_options_are_kept=search_options_are_kept,
        )

    def check_fit(
        self, where: object, *, n_bits: int, keep: str, artifacts: Mapping[str, ArtifactFacts]
    ) -> None:
        """Refuse a collection that was made of something else.

        Parameters
        ----------
        where : object
            Names the collection in messages.
        n_bits, keep, artifacts
            Of the collection.

        Raises
        ------
        CompatibilityError
        """
        if self.keep not in (None, keep):
            raise CompatibilityError(
                f"{where}: the collection was made with keep={keep!r}, keep={self.keep!r} was "
                "asked for; leave keep out, or make another collection"
            )
        for name, bits in self.n_bits.items():
            if bits != n_bits:
                whose = (
                    f"{bits} bits were asked for" if name == "n_bits" else f"the {name} has {bits}"
                )
                raise CompatibilityError(
                    f"{where}: the collection holds {n_bits}-bit codes, {whose}; make another "
                    "collection for them"
                )
        for name, source in self.sources.items():
            given = fingerprint(source)
            if name not in artifacts:
                raise CompatibilityError(
                    f"{where}: the collection was made without a {name}, the one given is "
                    f"{given[:12]}; make another collection for it"
                )
            kept = artifacts[name].fingerprint
            if given != kept:
                raise CompatibilityError(
                    f"{where}: the collection was made with the {name} {kept[:12]}, the one given "
                    f"is {given[:12]} (SHA-256); make another collection for it"
                )

    def check_learner(self, collection: Any) -> None:
        """Refuse a collection whose rows the quantizer that is to be fitted would never see.

        Parameters
        ----------
        collection : Collection
            As it was opened.

        Raises
        ------
        CompatibilityError
            If it keeps another quantizer, or holds items and keeps none.
        """
        if self.learner is None:
            return
        kept = collection.artifact_bytes("quantizer")
        asked = f"the quantizer {self.learner_name!r}" if self.learner_name else "a quantizer"
        if kept is None:
            if len(collection):
                raise CompatibilityError(
                    f"{collection.uri}: the collection holds codes and keeps no quantizer, and "
                    f"{asked} that is still to be fitted was given: it would be fitted on other "
                    "rows than made its codes; leave quantizer out, or make another collection"
                )
            return
        from h2q.quantization.serialization import differences

        found = differences(kept, self.learner, by_name=self.learner_name is not None)
        if found is not None:
            raise CompatibilityError(
                f"{collection.uri}: the collection was made with {found[0]}, and {asked} was "
                f"given, {found[1]}; leave quantizer out, or make another collection"
            )


def _learner(quantizer: Any, n_bits: int | None) -> Any:
    """Return the quantizer that is to be fitted; None where it is fitted already."""
    if isinstance(quantizer, str):
        from h2q.quantization import make_quantizer

        return make_quantizer(quantizer, n_bits=n_bits, random_state=0)
    # An int, too, has a method of that name.
    if isinstance(quantizer, bytes | type | int) or not hasattr(quantizer, "to_bytes"):
        raise InvalidInputError(
            f"quantizer is a quantizer of h2q or the name of one, got {quantizer!r:.100}; "
            "read one from a file by h2q.load"
        )
    is_fitted = getattr(quantizer, "__sklearn_is_fitted__", None)
    if is_fitted is None or is_fitted():
        return None
    from sklearn.base import clone

    copy: Any = clone(quantizer)
    if copy.n_bits is None and n_bits is not None:
        copy.set_params(n_bits=n_bits)
    return copy


def _seconds(timeout: float | None) -> float | None:
    if timeout is None:
        return None
    try:
        if isinstance(timeout, bool | str):
            raise TypeError
        seconds = float(timeout)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"timeout is a number of seconds, got {timeout!r}") from error
    if not 0 < seconds <= _LONGEST_WAIT_S:  # NaN, too
        raise InvalidInputError(
            f"timeout must be a number of seconds of more than 0, got {timeout!r}"
        )
    return seconds


def _nearby(where: object) -> str:
    """Name the collection that may have been meant, or those that lie where it was looked for."""
    path = Path(str(where))
    if "://" in str(where) or not path.absolute().parent.is_dir():
        return ""
    there = sorted(each.name for each in path.absolute().parent.glob("*.h2q"))
    close = difflib.get_close_matches(path.name.removesuffix(".h2q") + ".h2q", there, n=1)
    if close:
        return f"; did you mean {path.with_name(close[0])}?"
    more = ", ..." if len(there) > _NEARBY else ""
    return f"; there is {', '.join(there[:_NEARBY])}{more}" if there else ""
