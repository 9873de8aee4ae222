"""Encoders: photos to rows of features, by networks that are trained already.

======================  =========================================================================
``efficientnet-lite0``  the default: ImageNet features from a package, run by onnxruntime
``efficientnet-lite1``  the same family, larger: the weights are a package of their own
``efficientnet-lite2``
``onnx:FILE``           any network in an ONNX file, its preprocessing beside it as JSON
``timm:NAME``           any network of timm (torch)
======================  =========================================================================

Each is an `Encoder` (`base`); a trained model of `h2q train` is one, too (`h2q.ingest`). A
collection keeps the name and the fingerprint of its encoder (`KeptEncoder`). Importing this package
imports neither torch nor onnxruntime.
"""

from __future__ import annotations

from h2q._paths import path_text
from h2q.encoders.base import Encoder, TextEncoder
from h2q.encoders.efficientnet_lite import DEFAULT, DIMENSION, VARIANTS
from h2q.encoders.kept import KeptEncoder
from h2q.encoders.preparing import Preparing
from h2q.errors import CompatibilityError, InvalidInputError

__all__ = [
    "DEFAULT",
    "Encoder",
    "KeptEncoder",
    "Preparing",
    "TextEncoder",
    "load_encoder",
    "load_kept",
]


def load_encoder(name: str = DEFAULT, *, device: str = "auto") -> Encoder:
    """Load an encoder by its name.

    Parameters
    ----------
    name : str
        ``efficientnet-lite0`` (or ``1``, ``2``), ``onnx:FILE`` or ``timm:NAME``.
    device : str
        Where a network of torch runs; those of onnxruntime run on the CPU.

    Raises
    ------
    InvalidInputError
        If there is no such encoder.
    FormatError
        If its file cannot be used.
    MissingExtraError
        If what runs it is not installed.
    """
    name = path_text(name, "the encoder")
    variant = VARIANTS.get(name)
    if variant is not None:
        from h2q.encoders.onnx_model import OnnxEncoder

        kept = KeptEncoder(name, variant.fingerprint(), DIMENSION)
        return OnnxEncoder(
            variant.graph_file(), variant.preparing, kept, general_rows=variant.class_rows
        )
    if name.startswith("onnx:"):
        from h2q.encoders.onnx_model import load_onnx

        return load_onnx(name)
    if name.startswith("timm:"):
        from h2q.encoders.timm_model import TimmEncoder

        return TimmEncoder(name, device)
    raise InvalidInputError(
        f"unknown encoder {name!r}; expected {', '.join(VARIANTS)}, onnx:FILE or timm:NAME "
        "(a model of `h2q train` is given as --model)"
    )


def load_kept(data: bytes, *, name: str | None = None, device: str = "auto") -> Encoder:
    """Load the encoder a collection keeps the name of, and see that it is still the same.

    Parameters
    ----------
    data : bytes
        What the collection keeps (`KeptEncoder.to_bytes`).
    name : str, optional
        Where it is now, if not where it was.
    device : str
        As in `load_encoder`.

    Raises
    ------
    CompatibilityError
        If what goes by the name gives other rows than those the collection was made of.
    """
    kept = KeptEncoder.from_bytes(data)
    encoder = load_encoder(name or kept.name, device=device)
    found = encoder.kept
    if found.fingerprint != kept.fingerprint:
        raise CompatibilityError(
            f"the collection was made with the encoder {kept.name} ({kept.fingerprint[:12]}), "
            f"{encoder.name} is another ({found.fingerprint[:12]}): its rows cannot be compared; "
            "give the one it was made with, or make another collection"
        )
    return encoder
