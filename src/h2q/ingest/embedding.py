"""Embed photos of a folder, or a data set, with a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.errors import ImageError, InvalidInputError
from h2q.images import MAX_PIXELS, read_image, scan_folder
from h2q.ingest.batches import in_batches
from h2q.ingest.encoder import PhotoEncoder
from h2q.ingest.read_ahead import read_ahead
from h2q.ingest.report import OnProgress, Skipped, no_progress
from h2q.rowfiles.embeddings import Embeddings

if TYPE_CHECKING:
    from h2q.datasets import Dataset
    from h2q.learning import Hasher


def embed_folder(
    folder: StrPath,
    encoder: PhotoEncoder,
    *,
    batch_size: int | None = None,
    max_pixels: int = MAX_PIXELS,
    on_progress: OnProgress = no_progress,
) -> tuple[Embeddings, list[Skipped]]:
    """Embed every photo below a folder.

    Ids are paths below the folder. Where every photo lies in a subfolder, the first one is its
    label.

    Parameters
    ----------
    folder : path
    encoder : PhotoEncoder
    batch_size : int, optional
        Photos embedded at a time; the encoder's own by default.
    max_pixels : int
        Photos of more pixels are skipped.
    on_progress : callable
        Told how many photos of how many are done.

    Returns
    -------
    Embeddings
        Rows before rotation, (n, k): what a quantizer is fitted on.
    list of Skipped
        Photos that could not be read.

    Raises
    ------
    InvalidInputError
        If the folder does not exist or holds no readable image.
    """
    root = as_path(folder)
    skipped: list[Skipped] = []
    paths = scan_folder(
        root, on_error=lambda e: skipped.append(Skipped(str(e.filename), e.strerror or str(e)))
    )

    def load(path: Path) -> tuple[str, NDArray[np.uint8]] | Skipped:
        try:
            image = read_image(path, max_pixels=max_pixels)
        except ImageError as error:
            return Skipped(str(path), str(error).removeprefix(f"{path}: "))
        return path.relative_to(root).as_posix(), encoder.prepare(image)

    ids: list[str] = []
    blocks: list[NDArray[np.float32]] = []
    done = 0
    size = encoder.batch_size if batch_size is None else batch_size
    loaded = read_ahead(load, paths, ahead=2 * size, processes=encoder.on_gpu)
    for part in in_batches(loaded, size):
        skipped.extend(result for result in part if isinstance(result, Skipped))
        good = [result for result in part if not isinstance(result, Skipped)]
        if good:
            ids.extend(item_id for item_id, _ in good)
            blocks.append(encoder.embed([prepared for _, prepared in good]))
        done += len(part)
        on_progress(done, len(paths))
    if not blocks:
        what = f"none of its {len(paths)} images can be read" if paths else "it holds no image"
        raise InvalidInputError(f"{root}: {what}; is it the right folder?")
    labels, classes = _folder_labels(ids)
    return Embeddings(np.concatenate(blocks), ids, labels, classes), skipped


def embed_dataset(
    dataset: Dataset, hasher: Hasher, *, batch_size: int | None = None, progress: bool = False
) -> Embeddings:
    """Embed all four splits of a data set; rows before rotation, with labels and split."""
    parts = [(name, items) for name, items in dataset.splits() if len(items)]
    rows = [
        hasher.embed_items(items, batch_size=batch_size, progress=progress) for _, items in parts
    ]
    return Embeddings(
        rows=np.concatenate(rows),
        ids=[item_id for _, items in parts for item_id in items.ids],
        labels=np.concatenate([items.labels for _, items in parts]),
        classes=list(dataset.classes),
        split=np.concatenate([np.full(len(items), name) for name, items in parts]),
    )


def _folder_labels(ids: list[str]) -> tuple[NDArray[np.int64] | None, list[str] | None]:
    if not all("/" in item_id for item_id in ids):
        return None, None
    classes, labels = np.unique([item_id.split("/")[0] for item_id in ids], return_inverse=True)
    return labels.astype(np.int64), classes.tolist()
