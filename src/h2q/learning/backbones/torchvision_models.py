"""AlexNet and VGG-16, the backbones of the paper's experiments (torchvision).

The last layer of the classifier is taken off, so the hash layer stands in its place
(arXiv 2311.04207, sec. 4) on the 4,096 features before it.
"""

from __future__ import annotations

import torchvision.models

from h2q.errors import InvalidInputError
from h2q.learning.backbones.base import Backbone, BackboneSpec
from h2q.learning.backbones.preprocessing import Preprocessing
from h2q.learning.backbones.weights import cannot_download

ARCHITECTURES = ("alexnet", "vgg16")


def build(spec: BackboneSpec, *, pretrained: bool = False) -> Backbone:
    """Build the network; `pretrained` downloads torchvision's ImageNet weights."""
    if spec.architecture not in ARCHITECTURES:
        raise InvalidInputError(f"{spec.architecture!r:.80} is none of {', '.join(ARCHITECTURES)}")
    try:
        network = torchvision.models.get_model(
            spec.architecture, weights="IMAGENET1K_V1" if pretrained else None
        )
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        raise cannot_download(spec.name, error) from error
    n_features = network.classifier[-1].in_features
    network.classifier = network.classifier[:-1]
    preprocessing = Preprocessing(interpolation="bilinear", crop_pct=224 / 256)
    return Backbone(network, spec, n_features, preprocessing)
