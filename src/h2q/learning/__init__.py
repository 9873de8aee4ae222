"""Stage 1: learn an embedding whose cosine keeps similarity (needs the extra ``train``).

`fit` trains a `Hasher` (backbone, hash layer and rotation in one module) and leaves a run folder;
`losses` holds the similarity losses; `TrainConfig` is `fit`'s keywords as a YAML file. Importing
this package imports no torch; the names below load it when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from h2q._lazy import require

if TYPE_CHECKING:
    from h2q.learning import backbones, losses, penalties
    from h2q.learning.config import TrainConfig
    from h2q.learning.hasher import Hasher
    from h2q.learning.training import TrainingResult, fit

_HOME = {
    "Hasher": "h2q.learning.hasher",
    "TrainConfig": "h2q.learning.config",
    "TrainingResult": "h2q.learning.training",
    "fit": "h2q.learning.training",
}
_MODULES = ("backbones", "losses", "penalties")

__all__ = ["Hasher", "TrainConfig", "TrainingResult", "backbones", "fit", "losses", "penalties"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(require(_HOME[name], "train"), name)
    if name in _MODULES:
        return require(f"h2q.learning.{name}", "train")
    raise AttributeError(f"module 'h2q.learning' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
