"""Precomputed features: nothing before the hash layer, so training takes seconds."""

from __future__ import annotations

from torch import nn

from h2q.errors import InvalidInputError
from h2q.learning.backbones.base import Backbone, BackboneSpec


def build(spec: BackboneSpec) -> Backbone:
    """Pass rows through unchanged; `spec.arguments["n_features"]` is their dimension."""
    n_features = spec.arguments.get("n_features")
    if not isinstance(n_features, int) or n_features < 1:
        raise InvalidInputError(
            "the backbone 'features' needs n_features, the dimension of the rows; "
            f"got {n_features!r}"
        )
    return Backbone(nn.Identity(), spec, n_features, None)
