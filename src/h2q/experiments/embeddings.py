"""Embeddings of a training, kept so that what is asked for later needs no training again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from h2q._files import write_whole


@dataclass(frozen=True, eq=False)
class Embeddings:
    """What a training leaves for the quantizers.

    Attributes
    ----------
    rows : mapping of str to ndarray of float32, shape (n, k)
        Embeddings z of each split, before any rotation.
    labels : mapping of str to ndarray
        Integer classes (n,) or multi-hot (n, c).
    penalty : str
        Name of the penalty trained with; "" for none.
    seconds, cpu_seconds : float
        Wall and processor time of the training, without the embedding of queries and database.
    """

    rows: Mapping[str, NDArray[np.float32]]
    labels: Mapping[str, NDArray[Any]]
    penalty: str
    seconds: float
    cpu_seconds: float


def save_embeddings(path: Path, embeddings: Embeddings, digest: str) -> None:
    """Write rows and times (the labels are the data set's) as one safetensors file.

    Parameters
    ----------
    path : Path
        Its folder is made if it is absent.
    embeddings : Embeddings
    digest : str
        Of the source that made them; `load_embeddings` wants the same.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "penalty": embeddings.penalty,
        "seconds": repr(embeddings.seconds),
        "cpu_seconds": repr(embeddings.cpu_seconds),
        "digest": digest,
    }
    rows = {name: np.ascontiguousarray(z) for name, z in embeddings.rows.items()}
    write_whole(path, save(rows, facts))


def load_embeddings(
    path: Path, labels: Mapping[str, NDArray[Any]], digest: str
) -> Embeddings | None:
    """Read what `save_embeddings` wrote; None if it is absent, damaged, or of another source."""
    try:
        with safe_open(path, framework="numpy") as kept:
            facts = kept.metadata() or {}
            if facts.get("digest") != digest:
                return None
            rows = {name: kept.get_tensor(name) for name in labels}
    except (OSError, SafetensorError):
        return None
    if any(len(z) != len(labels[name]) for name, z in rows.items()):
        return None
    return Embeddings(
        rows, labels, facts["penalty"], float(facts["seconds"]), float(facts["cpu_seconds"])
    )
