"""Many photos to files of embeddings, many embeddings to files of codes; by units."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from h2q.errors import InvalidInputError
from h2q.images import MAX_PIXELS, image_suffixes
from h2q.ingest.parts import (
    FORMATS,
    Part,
    PartFormat,
    finish_part,
    finished_parts,
    write_manifest,
    write_part,
)
from h2q.ingest.pool import do_units
from h2q.ingest.report import OnProgress, Skipped, no_progress
from h2q.ingest.units import Unit, in_order, photo_units, row_units, total_size
from h2q.ingest.workers import Task
from h2q.rowfiles.shards import MANIFEST, find_shards
from h2q.rowfiles.storage import find_files, is_url, join


@dataclass
class PartsReport:
    """What a run wrote.

    Attributes
    ----------
    manifest : str
        Path or URL of the list of parts.
    rows : int
        Rows of all parts.
    parts : int
        Number of parts.
    kept : int
        Parts that were there already.
    skipped : list of Skipped
        Photos that could not be read, of all parts.
    """

    manifest: str
    rows: int = 0
    parts: int = 0
    kept: int = 0
    skipped: list[Skipped] = field(default_factory=list)


def bulk_embed(
    source: str,
    model: bytes,
    out: str,
    *,
    form: str = "npz",
    batch_size: int = 64,
    max_pixels: int = MAX_PIXELS,
    device: str = "auto",
    ray: str | None = None,
    workers: int | None = None,
    unit_size: int = 256,
    on_progress: OnProgress = no_progress,
) -> PartsReport:
    """Embed the photos of a folder, or of a prefix of an object store, into a folder of parts.

    A part holds the rows before rotation, in the order of the listing. A part that is there is
    not made again, so a run that ended early is continued by the same call.

    Parameters
    ----------
    source : str
        Folder or URL.
    model : bytes
        A model file.
    out : str
        Folder or URL of the parts. Where it is a store that all nodes reach, workers write there
        themselves; else this process writes.
    form : {"npz", "npy", "parquet"}
        ``npy`` holds rows without ids.
    batch_size, max_pixels, device, ray, workers, unit_size, on_progress
        As in `bulk_index_photos`.

    Raises
    ------
    InvalidInputError
        If there is no photo, or `out` holds parts of something else.
    ClusterError
        If the cluster cannot be reached or cannot do the work.
    """
    root = source.rstrip("/") if is_url(source) else str(Path(source).expanduser().resolve())
    units = photo_units(root, find_files(root, image_suffixes()), unit_size)
    task = Task(
        model=model,
        want_codes=False,
        want_rows=True,
        raw=True,
        device=device,
        batch_size=batch_size,
        max_pixels=max_pixels,
    )
    parts = _form(out, form, model, None)
    return _write(units, task, parts, ray, workers, on_progress)


def bulk_encode(
    source: str,
    quantizer: Any,
    out: str,
    *,
    form: str = "npz",
    key: str | None = None,
    ray: str | None = None,
    workers: int | None = None,
    unit_size: int | None = None,
    on_progress: OnProgress = no_progress,
) -> PartsReport:
    """Turn shards of embeddings into a folder of parts of packed codes.

    Parameters
    ----------
    source : str
        File, folder, pattern or URL (`h2q.ingest.find_shards`).
    quantizer : fitted quantizer
    out, form, ray, workers, on_progress
        As in `bulk_embed`.
    key, unit_size
        As in `bulk_index_rows`.

    Raises
    ------
    InvalidInputError
        If there is no shard, a row cannot be coded, or `out` holds parts of something else.
    FormatError
        If a shard is damaged.
    """
    shards = find_shards(source, key=key)
    if shards[0].kind == "codes":
        raise InvalidInputError(f"{shards[0].file.url} holds codes already; give embeddings")
    data = quantizer.to_bytes()
    units = row_units(shards, unit_size)
    parts = _form(out, form, data, int(quantizer.n_bits_))
    return _write(units, Task(quantizer=data), parts, ray, workers, on_progress)


def _form(out: str, suffix: str, maker: bytes, n_bits: int | None) -> PartFormat:
    if suffix not in FORMATS:
        raise InvalidInputError(f"unknown format {suffix!r}; one of {', '.join(FORMATS)}")
    if not is_url(out):
        if Path(out).is_file():
            raise InvalidInputError(f"{out} is a file; parts go to a folder")
        out = str(Path(out).expanduser().resolve())
    return PartFormat(out, suffix, hashlib.sha256(maker).hexdigest(), n_bits)


def _write(
    units: Sequence[Unit],
    task: Task,
    form: PartFormat,
    ray: str | None,
    workers: int | None,
    on_progress: OnProgress,
) -> PartsReport:
    parts = finished_parts(form, list(units))
    kept = len(parts)
    todo = [unit for unit in units if unit.number not in parts]
    total = total_size(units)
    done = total - total_size(todo)
    on_progress(done, total)
    results = do_units(todo, replace(task, parts=form), ray=ray, workers=workers)
    for unit, result in in_order(results, todo):
        if result.error is not None:
            raise InvalidInputError(result.error)
        if result.written is None:
            write_part(form, unit, result)
        rows = len(result.ids) if result.written is None else result.written
        parts[unit.number] = Part(form.name(unit), rows, result.skipped)
        finish_part(form, unit, parts[unit.number])
        done += unit.size
        on_progress(done, total)
    every = [parts[unit.number] for unit in units]
    if todo or not kept or not _listed(form):
        write_manifest(form, every, list(units))
    return PartsReport(
        manifest=join(form.folder, MANIFEST),
        rows=sum(part.rows for part in every),
        parts=len(every),
        kept=kept,
        skipped=[each for part in every for each in part.skipped],
    )


def _listed(form: PartFormat) -> bool:
    from h2q.rowfiles.storage import list_names

    return MANIFEST in list_names(form.folder)
