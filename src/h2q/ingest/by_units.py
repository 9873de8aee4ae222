"""Many photos into a collection, by units, here or on a cluster."""

from __future__ import annotations

from h2q.collections.base import Collection
from h2q.images import MAX_PIXELS
from h2q.ingest.listing import list_photos
from h2q.ingest.report import IndexReport, OnProgress, no_progress
from h2q.ingest.storing import put_units
from h2q.ingest.units import Result, photo_units
from h2q.ingest.update import Update
from h2q.ingest.workers import Task


def bulk_index_photos(
    source: str,
    collection: Collection,
    model: bytes,
    *,
    prefix: str = "",
    prune: bool = False,
    batch_size: int | None = None,
    max_pixels: int = MAX_PIXELS,
    gps: bool = False,
    device: str = "auto",
    ray: str | None = None,
    workers: int | None = None,
    unit_size: int | None = None,
    on_progress: OnProgress = no_progress,
) -> IndexReport:
    """Bring the photos of a folder, or of a prefix of an object store, into a collection.

    The workers read, encode and return codes; this process alone writes, a unit at a time and in
    the order of the listing. A photo is passed over where the collection holds it with the size
    and the time (or version) it has now, so a run that ended early, here or on a worker, is
    continued by the same call and nothing comes in twice. The rules are those of `index_folder`.

    Parameters
    ----------
    source : str
        Folder or URL. Workers of a cluster must reach it under the same name.
    collection : Collection
        Ids are the paths below `source`; payloads are those of `index_folder`.
    model : bytes
        A model file.
    prefix : str
        Goes before every id with a slash.
    prune : bool
        Delete the items, of this source and prefix, whose photos are gone.
    batch_size, max_pixels, gps, device
        As in `index_folder` and `PhotoEncoder`.
    ray, workers
        As in `do_units`.
    unit_size : int, optional
        Photos of a unit: done by one worker and stored in one transaction. About 256 by default,
        whole batches: the network then sees the batches that one process would show it, and gives
        the same codes to the last bit.
    on_progress : callable
        Told how many photos of how many are done.

    Returns
    -------
    IndexReport

    Raises
    ------
    InvalidInputError
        If there is no photo, or an id stands for a photo of another folder.
    ClusterError
        If the cluster cannot be reached or cannot do the work.
    """
    coder = collection.quantizer
    batch_size = batch_size or 64
    unit_size = unit_size or batch_size * max(1, 256 // batch_size)
    update = Update(collection, list_photos(source), prefix, batch_size)
    update.store_known(batch_size, gps=gps)
    task = Task(
        model=model,
        quantizer=None if coder is None else coder.to_bytes(),
        want_rows=collection.keep != "codes",
        raw=collection.quantizer is not None,
        device=device,
        batch_size=batch_size,
        max_pixels=max_pixels,
        gps=gps,
    )

    def put(result: Result) -> None:
        rows = result.arrays["rows"] if task.want_rows else None
        payloads = [payload or {} for payload in result.payloads or []]
        update.store(result.ids, result.arrays["codes"], payloads, rows)
        update.report.skipped.extend(result.skipped)

    put_units(
        photo_units(update.todo, unit_size), task, put,
        ray=ray, workers=workers, on_progress=on_progress,
    )  # fmt: skip
    return update.finish(prune=prune)
