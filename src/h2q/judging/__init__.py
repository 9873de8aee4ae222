"""Judge quantizers on embeddings, and a collection by its labels."""

from h2q.judging.collections import evaluate_collection
from h2q.judging.quantizers import Comparison, QuantizerScores, Split, compare_quantizers

__all__ = ["Comparison", "QuantizerScores", "Split", "compare_quantizers", "evaluate_collection"]
