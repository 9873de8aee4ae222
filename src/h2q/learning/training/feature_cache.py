"""Features of a frozen backbone, computed once and kept; an interrupted pass goes on."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from h2q._files import write_whole
from h2q.learning import bulk
from h2q.learning.backbones import Backbone
from h2q.learning.training.run_folder import fingerprint, weights_digest

if TYPE_CHECKING:
    from h2q.datasets import Items

#: Images a file; what an interruption can lose.
SHARD = 1024


class FeatureCache:
    """Features by backbone and split, `.npy` files of `SHARD` rows each.

    Parameters
    ----------
    folder : Path
        May be shared by runs: the backbone (architecture, preprocessing and weights) and the items
        are part of the name of what is kept.
    backbone : Backbone
        Frozen.
    """

    def __init__(self, folder: Path, backbone: Backbone) -> None:
        self.folder = folder
        self.backbone = backbone
        preprocessing = backbone.preprocessing
        described = json.dumps(
            [
                backbone.spec.family,
                backbone.spec.architecture,
                backbone.spec.arguments,
                None if preprocessing is None else preprocessing.to_dict(),
                weights_digest(backbone),
            ],
            sort_keys=True,
        )
        self._digest = hashlib.sha256(described.encode()).hexdigest()[:12]

    def features(
        self,
        items: Items,
        name: str,
        *,
        batch_size: int | None = None,
        num_workers: int | None = None,
        progress: bool = False,
    ) -> NDArray[np.float32]:
        """Features (n, d) of `items`; only what is not kept yet is computed."""
        place = self.folder / self._digest / f"{name}-{_contents(items)}"
        place.mkdir(parents=True, exist_ok=True)
        shards = []
        starts = range(0, len(items), SHARD)
        for number, start in enumerate(starts):
            path = place / f"{number:05d}.npy"
            rows = self._kept(path)
            if rows is None:
                part = items.take(np.arange(start, min(start + SHARD, len(items))))
                title = f"{name} features {number + 1}/{len(starts)}" if progress else None
                rows = bulk.run(
                    self.backbone,
                    self.backbone.forward,
                    part,
                    batch_size=batch_size,
                    num_workers=num_workers,
                    description=title,
                )
                write_whole(path, _npy(rows))
            shards.append(rows)
        if not shards:
            return np.zeros((0, self.backbone.n_features), dtype=np.float32)
        return np.concatenate(shards)

    @staticmethod
    def _kept(path: Path) -> NDArray[np.float32] | None:
        try:
            rows: NDArray[np.float32] = np.load(path, allow_pickle=False)
        except FileNotFoundError:
            return None
        return rows


def _contents(items: Items) -> str:
    """Digest of ids, labels and images: pixels in memory, or size and time of each file."""
    digest = hashlib.sha256(fingerprint(items).encode())
    pixels, paths = (getattr(items.images, name, None) for name in ("pixels", "paths"))
    if pixels is not None:
        digest.update(np.ascontiguousarray(pixels).tobytes())
    for path in paths or ():
        with contextlib.suppress(OSError):  # reading it says what is wrong with it
            state = path.stat()
            digest.update(f"{state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _npy(rows: NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, rows, allow_pickle=False)
    return stream.getvalue()
