"""A small network for 8 x 8 greyscale digits (scikit-learn's digits); trains in seconds."""

from __future__ import annotations

from torch import nn

from h2q.learning.backbones.base import Backbone, BackboneSpec
from h2q.learning.backbones.preprocessing import Preprocessing

N_FEATURES = 128


def build(spec: BackboneSpec) -> Backbone:
    """Build the network with random weights; other images are made greyscale and 8 x 8."""
    network = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, N_FEATURES),
        nn.ReLU(),
    )
    preprocessing = Preprocessing(
        size=(1, 8, 8), mean=(0.3,), std=(0.38,), interpolation="bilinear", crop_pct=1.0
    )
    return Backbone(network, spec, N_FEATURES, preprocessing)
