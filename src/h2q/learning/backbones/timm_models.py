"""Any model of timm, by its name or from a local folder (`local-dir:PATH`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
from torch import nn

from h2q._foreign import parse_json
from h2q.errors import InvalidInputError
from h2q.learning.backbones.base import Backbone, BackboneSpec
from h2q.learning.backbones.preprocessing import Preprocessing
from h2q.learning.backbones.weights import cannot_download, load_weights

LOCAL = "local-dir:"
#: Arguments by which `timm.create_model` reads other files or asks the network.
_NEVER = frozenset(
    {
        "cache_dir", "checkpoint_path", "exportable", "no_jit", "pretrained", "pretrained_cfg",
        "pretrained_cfg_overlay", "pretrained_strict", "scriptable",
    }
)  # fmt: skip


def spec_of(name: str, image_size: int | None = None) -> BackboneSpec:
    """Describe the timm model `name`.

    Raises
    ------
    InvalidInputError
        If timm has no such model; names some that it has.
    """
    if not timm.is_model(name):
        close = timm.list_models(f"*{name.split('_')[0]}*")[:5]
        hint = f"; some like it: {', '.join(close)}" if close else ""
        raise InvalidInputError(
            f"unknown backbone {name!r}: h2q has alexnet, vgg16, digits-cnn, features and "
            f"{LOCAL}PATH, and timm has no model of that name{hint}"
        )
    arguments: dict[str, Any] = {}
    config = timm.get_pretrained_cfg(name)
    # Transformers fix their input size when they are built; convolutional models take any.
    if image_size is not None and config is not None and config.fixed_input_size:
        arguments["img_size"] = image_size
    return BackboneSpec(name, "timm", name, arguments)


def build(spec: BackboneSpec, *, pretrained: bool = False) -> Backbone:
    """Build the architecture without its classifier.

    Parameters
    ----------
    spec : BackboneSpec
        Architecture and arguments of `timm.create_model`.
    pretrained : bool
        With timm's published weights, downloaded once and kept by timm; random otherwise.
    """
    _check(spec)
    try:
        network = timm.create_model(
            spec.architecture, pretrained=pretrained, num_classes=0, **spec.arguments
        )
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        raise cannot_download(spec.name, error) from error
    return _wrap(network, spec)


def build_local(name: str, *, pretrained: bool = True) -> Backbone:
    """Build `local-dir:PATH`, a folder with `config.json` and `model.safetensors`.

    Raises
    ------
    InvalidInputError
        If the folder lacks either file, or they do not fit each other.
    """
    folder = Path(name.removeprefix(LOCAL)).expanduser()
    try:
        config = parse_json((folder / "config.json").read_bytes(), folder / "config.json")
        spec = BackboneSpec(
            name, "timm", str(config["architecture"]), dict(config.get("model_args") or {})
        )
        _check(spec)
        network: nn.Module = timm.create_model(
            spec.architecture,
            pretrained_cfg_overlay=config.get("pretrained_cfg"),
            num_classes=0,
            **spec.arguments,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InvalidInputError(
            f"{name}: not a timm model folder ({error}); it must hold config.json, which names "
            f"the architecture, and model.safetensors"
        ) from error
    if pretrained:
        load_weights(network, folder / "model.safetensors")
    return _wrap(network, spec)


def _check(spec: BackboneSpec) -> None:
    """Refuse what would make timm fetch or unpickle something: a file names a network only."""
    if not isinstance(spec.architecture, str) or not timm.is_model(spec.architecture):
        raise InvalidInputError(f"timm has no model {spec.architecture!r:.80}")
    bad = sorted(_NEVER.intersection(spec.arguments))
    if bad:
        raise InvalidInputError(f"{spec.architecture}: the argument {bad[0]} is not taken")


def _wrap(network: Any, spec: BackboneSpec) -> Backbone:
    n_features = getattr(network, "head_hidden_size", None) or network.num_features
    return Backbone(network, spec, int(n_features), Preprocessing.from_timm(network))
