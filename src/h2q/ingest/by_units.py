"""Many photos, embeddings or codes into a collection, by units, here or on a cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from h2q._typing import StrPath
from h2q.collections.base import Collection
from h2q.errors import CompatibilityError, InvalidInputError
from h2q.images import MAX_PIXELS, image_suffixes
from h2q.ingest.batches import in_batches
from h2q.ingest.journal import Journal
from h2q.ingest.pool import do_units
from h2q.ingest.report import IndexReport, OnProgress, no_progress
from h2q.ingest.units import Result, Unit, in_order, photo_units, row_units, total_size
from h2q.ingest.workers import Task, check_free, is_unchanged, photo_name
from h2q.rowfiles.shards import Shard, find_shards
from h2q.rowfiles.storage import FoundFile, find_files, is_url

_LOOKED_UP = 1000  # ids asked for at a time


def bulk_index_photos(
    source: str,
    collection: Collection,
    model: bytes,
    *,
    prefix: str = "",
    batch_size: int = 64,
    max_pixels: int = MAX_PIXELS,
    device: str = "auto",
    ray: str | None = None,
    workers: int | None = None,
    unit_size: int = 256,
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
    batch_size, max_pixels, device
        As in `index_folder` and `PhotoEncoder`.
    ray, workers
        As in `do_units`.
    unit_size : int
        Photos of a unit: done by one worker and stored in one transaction.
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
    files = find_files(root, image_suffixes())
    report = IndexReport()
    todo: list[FoundFile] = []
    for part in in_batches(files, _LOOKED_UP):
        ids = [photo_name(prefix, file) for file in part]
        for item_id, file, item in zip(ids, part, collection.get(ids), strict=True):
            stored = None if item is None else item.payload
            if is_unchanged(stored, root, file):
                report.unchanged += 1
            else:
                check_free(stored, root, item_id)
                todo.append(file)
    task = Task(
        model=model,
        want_rows=collection.keep != "codes",
        raw=collection.quantizer is not None,
        prefix=prefix,
        device=device,
        batch_size=batch_size,
        max_pixels=max_pixels,
    )
    units = photo_units(root, todo, unit_size)
    return _store(units, task, collection, report, ray, workers, on_progress)


def bulk_index_rows(
    source: str,
    collection: Collection,
    *,
    journal: StrPath,
    quantizer: Any = None,
    key: str | None = None,
    prefix: str = "",
    ray: str | None = None,
    workers: int | None = None,
    unit_size: int | None = None,
    on_progress: OnProgress = no_progress,
) -> IndexReport:
    """Bring shards of embeddings, or of codes, into a collection.

    Parameters
    ----------
    source : str
        File, folder, pattern or URL (`h2q.ingest.find_shards`).
    collection : Collection
        Rows without ids are called ``shard:row``; of a single file, ``row``.
    journal : path
        Record of the units that are in the collection (`Journal`); a later call passes them over.
    quantizer : fitted quantizer, optional
        What codes embeddings; by default the collection's.
    key : str, optional
        Array or column that holds the rows.
    prefix, ray, workers, on_progress
        As in `bulk_index_photos`.
    unit_size : int, optional
        Rows of a unit; 32 MiB of float32, at most 20,000, by default.

    Returns
    -------
    IndexReport
        Of a unit that is passed over, all items count as unchanged.

    Raises
    ------
    InvalidInputError
        If there is no shard, shards differ, a row cannot be coded, or there is no quantizer.
    CompatibilityError
        If the codes are not as long as the collection's.
    FormatError
        If a shard is damaged.
    """
    shards = find_shards(source, key=key)
    quantizer = collection.quantizer if quantizer is None else quantizer
    _check_bits(shards, collection, quantizer)
    prefix = prefix.strip("/")
    task = Task(
        quantizer=None if shards[0].kind == "codes" else quantizer.to_bytes(),
        want_rows=collection.keep != "codes",
        raw=collection.quantizer is not None,
        prefix=prefix,
    )
    units = row_units(shards, unit_size)
    coder = "" if task.quantizer is None else hashlib.sha256(task.quantizer).hexdigest()
    # An address may hold a password.
    name = hashlib.sha256(collection.uri.encode()).hexdigest()
    maker = {"collection": name, "n_bits": collection.n_bits, "quantizer": coder}
    book = Journal(journal, maker, prefix)
    finished = book.finished(units, collection)
    report = IndexReport(unchanged=sum(unit.size for unit in units if unit.number in finished))
    todo = [unit for unit in units if unit.number not in finished]

    def record(unit: Any, result: Result) -> None:
        book.add(unit, result.ids)

    return _store(todo, task, collection, report, ray, workers, on_progress, record)


def _store(
    units: Sequence[Unit],
    task: Task,
    collection: Collection,
    report: IndexReport,
    ray: str | None,
    workers: int | None,
    on_progress: OnProgress,
    stored: Callable[[Unit, Result], None] = lambda unit, result: None,
) -> IndexReport:
    done, total = 0, total_size(units)
    on_progress(done, total)
    results = do_units(units, task, ray=ray, workers=workers)
    for unit, result in in_order(results, units):
        if result.error is not None:
            raise InvalidInputError(result.error)
        if result.ids:
            held = sum(item is not None for item in collection.get(result.ids))
            kept = {"embeddings": result.arrays["rows"]} if task.want_rows else {}
            collection.add(result.ids, result.arrays["codes"], result.payloads, **kept)
            report.updated += held
            report.added += len(result.ids) - held
        report.skipped.extend(result.skipped)
        stored(unit, result)  # only now: what is recorded is durable
        done += unit.size
        on_progress(done, total)
    return report


def _root(source: str) -> str:
    """Name the folder as payloads do: absolute, or the URL without a slash at its end."""
    return source.rstrip("/") if is_url(source) else str(Path(source).expanduser().resolve())


def _check_bits(shards: Sequence[Shard], collection: Collection, quantizer: Any) -> None:
    if shards[0].kind == "codes":
        n_bits, what = shards[0].n_bits, f"{shards[0].file.url} holds"
        if collection.keep != "codes":
            raise InvalidInputError(
                f"the collection {collection.uri} keeps rows beside its codes, but "
                f"{shards[0].file.url} holds codes alone; index the embeddings"
            )
    elif quantizer is None:
        raise InvalidInputError(
            f"the collection {collection.uri} keeps no quantizer; give the one that made its codes "
            "(--quantizer)"
        )
    else:
        n_bits, what = int(quantizer.n_bits_), "the quantizer makes"
    if n_bits != collection.n_bits:
        raise CompatibilityError(
            f"{what} codes of {n_bits} bits, the collection {collection.uri} holds codes of "
            f"{collection.n_bits}"
        )
