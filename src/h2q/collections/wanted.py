"""What a caller says a collection is made of, and whether one that exists fits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from h2q._typing import StrPath
from h2q.codes import code_width
from h2q.collections.base import Decoder, Quantizer
from h2q.collections.sources import Source, bits_of_model, fingerprint
from h2q.errors import CompatibilityError, InvalidInputError
from h2q.ranks import Keep, check_keep


@dataclass(frozen=True)
class Wanted:
    """What the caller says the collection is made of.

    Attributes
    ----------
    n_bits : dict
        The code length by whom it is stated: "n_bits", "quantizer", "model", "decoder".
    sources : dict
        The artifacts' contents: "quantizer", "model", "decoder".
    keep : str or None
        What is to be kept of each real row.
    """

    n_bits: dict[str, int] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    keep: Keep | None = None


def as_wanted(
    n_bits: int | None,
    quantizer: Quantizer | None,
    model: StrPath | bytes | None,
    keep: str | None,
    decoder: Decoder | None = None,
) -> Wanted:
    """Check what was handed to `h2q.open_collection` and put it together.

    Raises
    ------
    InvalidInputError
        If something cannot be used, or the code lengths contradict each other.
    FormatError
        If the model is none.
    """
    wanted = Wanted(keep=None if keep is None else check_keep(keep))
    if n_bits is not None:
        code_width(n_bits)
        wanted.n_bits["n_bits"] = int(n_bits)
    if quantizer is not None:
        wanted.sources["quantizer"] = quantizer.to_bytes()
        wanted.n_bits["quantizer"] = int(quantizer.n_bits_)
    if decoder is not None:
        wanted.sources["decoder"] = decoder.to_bytes()
        wanted.n_bits["decoder"] = int(decoder.n_bits_)
    if model is not None:
        source = model if isinstance(model, bytes) else Path(model)
        wanted.sources["model"] = source
        wanted.n_bits["model"] = bits_of_model(source)
    if len(set(wanted.n_bits.values())) > 1:
        stated = ", ".join(f"{name}: {bits} bits" for name, bits in wanted.n_bits.items())
        raise InvalidInputError(f"the code length is contradictory ({stated}); leave n_bits out")
    return wanted


def check_fit(
    where: object, wanted: Wanted, *, n_bits: int, keep: str, fingerprints: Mapping[str, str]
) -> None:
    """Refuse a collection that was made of something else.

    Parameters
    ----------
    where : object
        Names the collection in messages.
    wanted : Wanted
    n_bits, keep, fingerprints
        Of the collection.

    Raises
    ------
    CompatibilityError
    """
    if wanted.keep not in (None, keep):
        raise CompatibilityError(
            f"{where}: the collection was made with keep={keep!r}, keep={wanted.keep!r} was "
            "asked for; leave keep out, or make another collection"
        )
    for name, bits in wanted.n_bits.items():
        if bits != n_bits:
            whose = f"{bits} bits were asked for" if name == "n_bits" else f"the {name} has {bits}"
            raise CompatibilityError(
                f"{where}: the collection holds {n_bits}-bit codes, {whose}; make another "
                "collection for them"
            )
    for name, source in wanted.sources.items():
        given, kept = fingerprint(source), fingerprints.get(name)
        if kept is None:
            raise CompatibilityError(
                f"{where}: the collection was made without a {name}, the one given is "
                f"{given[:12]}; make another collection for it"
            )
        if given != kept:
            raise CompatibilityError(
                f"{where}: the collection was made with the {name} {kept[:12]}, the one given is "
                f"{given[:12]} (SHA-256); make another collection for it"
            )
