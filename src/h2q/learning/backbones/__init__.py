"""Backbones by name: what comes before the hash layer, each with its own preprocessing.

==================  ============================================================================
``digits-cnn``      small network for scikit-learn's 8 x 8 digits
``features``        none: rows of precomputed features go straight to the hash layer
``alexnet``         as in the paper (torchvision)
``vgg16``           as in the paper (torchvision)
``local-dir:PATH``  a timm model folder on this machine: config.json and model.safetensors
any timm name       ``resnet50``, ``vit_base_patch16_224``, ... (``timm:vgg16`` for timm's own)
``package:Name``    a module of one's own, or what makes one (`own`)
==================  ============================================================================
"""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

from torch import nn

from h2q._foreign import shortened
from h2q._own_code import names_code
from h2q._typing import StrPath
from h2q.errors import FormatError, InvalidInputError
from h2q.learning.backbones import (
    digits,
    features,
    own_modules,
    timm_models,
    torchvision_models,
)
from h2q.learning.backbones.base import Backbone, BackboneSpec
from h2q.learning.backbones.own_modules import Maker, OwnBackbone, maker_of, own, trust
from h2q.learning.backbones.preprocessing import AUGMENTATIONS, Preprocessing
from h2q.learning.backbones.weights import load_weights

__all__ = [
    "AUGMENTATIONS",
    "Backbone",
    "BackboneSpec",
    "Maker",
    "OwnBackbone",
    "Preprocessing",
    "create",
    "maker_of",
    "names",
    "own",
    "rebuild",
    "trust",
]

_FAMILIES: dict[str, ModuleType] = {
    "digits": digits,
    "features": features,
    own_modules.FAMILY: own_modules,
    "timm": timm_models,
    "torchvision": torchvision_models,
}


def names() -> list[str]:
    """h2q's own names; besides them any name of `timm.list_models()` is taken."""
    own_names = ["digits-cnn", "features", *torchvision_models.ARCHITECTURES]
    return [*own_names, "local-dir:PATH", "package.module:Name"]


def create(
    name: str | Maker | nn.Module,
    *,
    pretrained: bool = True,
    weights: StrPath | None = None,
    image_size: int | None = None,
    n_features: int | None = None,
    options: dict[str, Any] | None = None,
) -> Backbone:
    """Build a backbone.

    Parameters
    ----------
    name : str, nn.Module, class or function
        One of `names`, or any name of timm; or a module of one's own, or what makes one (`own`).
    pretrained : bool
        Start from the published weights (downloaded where they are not on this machine), or, for
        ``local-dir:PATH``, from the folder's; random weights otherwise.
    weights : path-like, optional
        A local file of weights for that architecture instead.
    image_size : int, optional
        Height and width of the input instead of the backbone's own.
    n_features : int, optional
        Dimension of the rows, for ``features`` and for a module of one's own that takes rows;
        without it, and without a ``preprocessing`` of its own, such a module is fed images as
        `Preprocessing` makes them by default.
    options : dict, optional
        Arguments of what makes a module of one's own.

    Raises
    ------
    InvalidInputError
        If the name is unknown, or the weights cannot be had; says how to give a local file.

    Examples
    --------
    >>> backbone = create("digits-cnn")
    >>> backbone.n_features, backbone.preprocessing.size
    (128, (1, 8, 8))
    """
    download = pretrained and weights is None
    of_ones_own = not isinstance(name, str) or names_code(name)
    if options and not of_ones_own:
        raise InvalidInputError(
            f"the backbone {name!r} takes no options ({', '.join(options)}): they are arguments "
            "of one of your own, package.module:Name"
        )
    if not isinstance(name, str) or names_code(name):
        backbone = _own(name, options, n_features, image_size)
    elif name == "digits-cnn":
        backbone = digits.build(BackboneSpec(name, "digits", name))
    elif name == "features":
        arguments = {} if n_features is None else {"n_features": int(n_features)}
        backbone = features.build(BackboneSpec(name, "features", name, arguments))
    elif name in torchvision_models.ARCHITECTURES:
        spec = BackboneSpec(name, "torchvision", name)
        backbone = torchvision_models.build(spec, pretrained=download)
    elif name.startswith(timm_models.LOCAL):
        backbone = timm_models.build_local(name, pretrained=download)
    else:
        spec = timm_models.spec_of(name.removeprefix("timm:"), image_size)
        backbone = timm_models.build(spec, pretrained=download)
    if weights is not None:
        load_weights(backbone.network, weights)
    if image_size is not None and not of_ones_own:
        _resize(backbone, image_size)
    return backbone


def _own(
    make: str | Maker | nn.Module,
    options: dict[str, Any] | None,
    n_features: int | None,
    image_size: int | None,
) -> Backbone:
    """Feed it what its own preprocessing says, rows where there are rows, or usual images."""
    if image_size is None:
        images = Preprocessing()
    else:
        images = Preprocessing(size=(3, image_size, image_size))
    if n_features is None:
        backbone = own(make, options, fallback=images)
    else:
        backbone = own(make, options, n_inputs=n_features)
    size = None if backbone.preprocessing is None else backbone.preprocessing.size
    if image_size is not None and (size is None or size[1:] != (image_size, image_size)):
        taken = "rows" if size is None else f"images of {size[1]} x {size[2]}"
        raise InvalidInputError(
            f"image_size={image_size}: the backbone {backbone.spec.name!r} takes {taken}"
        )
    return backbone


def rebuild(
    spec: BackboneSpec, preprocessing: Preprocessing | None, make: Maker | None = None
) -> Backbone:
    """Build the architecture a model file describes, ready to take its weights.

    Parameters
    ----------
    spec : BackboneSpec
    preprocessing : Preprocessing or None
    make : class or function, optional
        What `maker_of` returned, for a backbone of somebody's own.

    Raises
    ------
    FormatError
        If this version of h2q, or of the library behind it, does not have it.
    """
    try:
        more = {} if make is None else {"make": make}
        backbone: Backbone = _FAMILIES[spec.family].build(spec, **more)
    except Exception as error:  # a builder meets arguments of any kind with errors of any kind
        what = shortened(f"cannot rebuild {spec.architecture!r} of {spec.family!r}: {error}")
        raise FormatError(
            f"{what}; install the library versions the model was made with, or a newer h2q"
        ) from error
    backbone.preprocessing = preprocessing
    return backbone


def _resize(backbone: Backbone, image_size: int) -> None:
    if backbone.preprocessing is None:
        raise InvalidInputError(
            f"image_size={image_size}: the backbone {backbone.spec.name!r} takes no images"
        )
    channels = backbone.preprocessing.size[0]
    backbone.preprocessing = dataclasses.replace(
        backbone.preprocessing, size=(channels, image_size, image_size)
    )
