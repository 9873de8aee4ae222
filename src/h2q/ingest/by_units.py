"""Many photos into a collection, by units, here or on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from h2q._addresses import without_secrets
from h2q.collections.base import Collection, Id
from h2q.images import MAX_PIXELS, image_suffixes
from h2q.ingest.batches import in_batches
from h2q.ingest.folder import look_through
from h2q.ingest.photo_files import content_hash, readable, seen_in
from h2q.ingest.plan import is_gone
from h2q.ingest.report import IndexReport, OnProgress, Skipped, no_progress
from h2q.ingest.storing import store_units
from h2q.ingest.units import Result, Unit, photo_units
from h2q.ingest.workers import Task, check_free, is_unchanged, photo_name, photo_payload
from h2q.rowfiles.storage import FoundFile, find_files, is_url

_LOOKED_UP = 1000  # ids asked for at a time


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
    continued by the same call and nothing comes in twice.

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
    root, prefix = _root(source), prefix.strip("/")
    files, report = _listed(root)
    root = without_secrets(root) if is_url(root) else root  # it is stored with every photo
    coder = collection.quantizer
    batch_size = batch_size or 64
    unit_size = unit_size or batch_size * max(1, 256 // batch_size)
    todo: list[FoundFile] = []
    moved: set[Id] = set()
    for part in in_batches(files, _LOOKED_UP):
        ids = [photo_name(prefix, file) for file in part]
        for item_id, file, item in zip(ids, part, collection.get(ids), strict=True):
            stored = None if item is None else item.payload
            if is_unchanged(stored, root, file):
                report.unchanged += 1
                continue
            check_free(stored, root, item_id)
            same = _same_content(stored, file)
            if same and collection.keep == "codes" and item is not None and stored is not None:
                payload = photo_payload(root, file, str(stored["sha256"]), seen_in(stored))
                collection.add([item_id], item.code[None], [payload])
                report.renewed += 1
            else:  # a record cannot be read back: of what only moved it is made again
                todo.append(file)
                if same:
                    moved.add(item_id)
    task = Task(
        model=model,
        quantizer=None if coder is None else coder.to_bytes(),
        want_rows=collection.keep != "codes",
        raw=collection.quantizer is not None,
        prefix=prefix,
        device=device,
        batch_size=batch_size,
        max_pixels=max_pixels,
        gps=gps,
    )
    units = photo_units(root, todo, unit_size)

    def recount(unit: Unit, result: Result) -> None:
        again = sum(item_id in moved for item_id in result.ids)
        report.updated -= again
        report.renewed += again

    store_units(
        units, task, collection, report, ray=ray, workers=workers, on_progress=on_progress,
        stored=recount,
    )  # fmt: skip
    gone = _gone(collection, root, prefix, files)
    if prune:
        report.removed = collection.delete(gone)
    else:
        report.gone = len(gone)
    return report


def _listed(root: str) -> tuple[list[FoundFile], IndexReport]:
    """List the photos below a folder as `index_folder` does, or below a prefix of a store."""
    if is_url(root):
        return find_files(root, image_suffixes()), IndexReport()
    found = look_through(root)
    report = IndexReport(skipped=list(found.skipped), passed_over=dict(found.passed_over))
    files = []
    for each in found.photos:
        path = str(found.root / each.name)
        if each.error is not None or readable(path) != path:
            reason = each.error or "its name is not valid Unicode; rename it"
            report.skipped.append(Skipped(readable(path), reason))
            continue
        files.append(FoundFile(path, each.name, each.size, str(each.mtime_ns)))
    return files, report


def _gone(collection: Collection, root: str, prefix: str, files: Sequence[FoundFile]) -> list[Id]:
    """Ids of the items that came from `root` under `prefix` and whose photos are gone."""
    there = {photo_name(prefix, file) for file in files}
    start = f"{prefix}/" if prefix else ""
    return [
        item_id
        for batch in collection.iterate(where={"folder": root})
        for item_id, stored in zip(batch.ids, batch.payloads, strict=True)
        if item_id not in there
        and item_id == f"{start}{(stored or {}).get('path')}"
        # A local file that merely cannot be looked at (a locked folder) is not gone.
        and (is_url(root) or is_gone(Path(root) / str((stored or {})["path"])))
    ]


def _same_content(stored: dict[str, Any] | None, file: FoundFile) -> bool:
    """Whether a local photo was touched or moved only; of one in a store that is not asked."""
    if not stored or is_url(file.url) or stored.get("size") != file.size:
        return False
    try:
        return content_hash(Path(file.url)) == stored.get("sha256")
    except OSError:
        return False  # who reads it says what is wrong with it


def _root(source: str) -> str:
    """Name the folder for whoever opens it: absolute, or the URL without a slash at its end."""
    return source.rstrip("/") if is_url(source) else str(Path(source).expanduser().resolve())
