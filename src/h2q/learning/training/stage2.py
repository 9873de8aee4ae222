"""Stage 2 at the end of training: the rotation, without labels, on the training embeddings."""

from __future__ import annotations

from h2q.learning.config import TrainConfig
from h2q.learning.hasher import Hasher
from h2q.learning.training.sources import Sources
from h2q.quantization import make_quantizer


def add_rotation(hasher: Hasher, sources: Sources, config: TrainConfig, progress: bool) -> None:
    """Fit the quantizer and put its rotation into the model."""
    embeddings = sources.train_embeddings(hasher, progress)
    quantizer = make_quantizer(config.quantizer, random_state=config.random_state)
    hasher.set_quantizer(quantizer.fit(embeddings))
    hasher.facts["quantization_error"] = float(quantizer.quantization_error(embeddings))
    if hasher.precision != "32" and not sources.on_features:
        hasher.facts["flipped_bits"] = hasher.flipped_bits(sources.validation, hasher.precision)
