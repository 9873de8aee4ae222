"""What every backbone offers to the `Hasher`, and how it is described so it can be rebuilt."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from h2q.learning.backbones.preprocessing import Preprocessing


@dataclass(frozen=True)
class BackboneSpec:
    """Enough to rebuild the architecture without its weights and without the folder it came from.

    Attributes
    ----------
    name : str
        What the user asked for, for people to read.
    family : str
        Which module of `h2q.learning.backbones` builds it: "timm", "torchvision", "digits",
        "features".
    architecture : str
        The family's own name for it.
    arguments : dict
        The builder's keyword arguments; values that JSON can hold.
    """

    name: str
    family: str
    architecture: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Values that JSON can hold."""
        return asdict(self)


class Backbone(nn.Module):
    """A network from inputs to feature rows.

    Parameters
    ----------
    network : nn.Module
        Maps a batch to rows (n, n_features).
    spec : BackboneSpec
        How to rebuild `network`.
    n_features : int
        Columns of the output.
    preprocessing : Preprocessing or None
        What makes an image its input; None where the input is rows of features.
    """

    def __init__(
        self,
        network: nn.Module,
        spec: BackboneSpec,
        n_features: int,
        preprocessing: Preprocessing | None,
    ) -> None:
        super().__init__()
        self.network = network
        self.spec = spec
        self.n_features = n_features
        self.preprocessing = preprocessing

    @property
    def precision(self) -> Literal["32"]:
        """In which its features are computed in bulk."""
        return "32"

    @property
    def takes_images(self) -> bool:
        """Whether the input is images; otherwise it is rows of features."""
        return self.preprocessing is not None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map inputs to features, (n, n_features)."""
        features: torch.Tensor = self.network(x)
        return features
