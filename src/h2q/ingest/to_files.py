"""Many photos to files of embeddings, many embeddings to files of codes; by units."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from h2q._files import check_apart, check_place
from h2q._ray import check_workers
from h2q._typing import StrPath
from h2q.collections.base import Batch
from h2q.errors import InvalidInputError
from h2q.images import MAX_PIXELS
from h2q.ingest.listing import list_photos
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
from h2q.ingest.storing import check_width
from h2q.ingest.units import Unit, in_order, photo_units, row_units, total_size
from h2q.ingest.workers import Task, code_rows
from h2q.rowfiles import CodeStream, Shard, find_shards, write_codes
from h2q.rowfiles.registry import format_of, held_out
from h2q.rowfiles.shards import (
    MANIFEST,
    SUFFIXES,
    check_split,
    local_files,
    read_split,
    row_ranges,
    shard_rows_at_a_time,
)
from h2q.rowfiles.storage import is_url, join


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
        Photos that could not be read, and rows of zeros, which have no code, of all parts.
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
    form: str | None = None,
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
    check_workers(workers, ray)
    listing = list_photos(source)
    units = photo_units(listing.files(), unit_size)
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
    report = _write(units, task, parts, ray, workers, on_progress)
    return replace(report, skipped=[*listing.skipped, *listing.broken(), *report.skipped])


def bulk_encode(
    source: str,
    quantizer: Any,
    out: str,
    *,
    form: str | None = None,
    key: str | None = None,
    split: str | None = None,
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
    key, split, unit_size
        As in `index_rows`.

    Raises
    ------
    InvalidInputError
        If there is no shard, a row cannot be coded, or `out` holds parts of something else.
    FormatError
        If a shard is damaged.
    """
    check_workers(workers, ray)
    check_apart(out, source)
    shards = _embeddings(source, key, split, quantizer)
    data = quantizer.to_bytes()
    units = row_units(shards, unit_size)
    maker = data if split in (None, "all") else data + split.encode()
    parts = _form(out, form, maker, int(quantizer.n_bits_))
    return _write(units, Task(quantizer=data, split=split), parts, ray, workers, on_progress)


def encode_file(
    source: str,
    quantizer: Any,
    out: StrPath,
    *,
    form: str | None = None,
    key: str | None = None,
    split: str | None = None,
    on_progress: OnProgress = no_progress,
    on_skipped: Callable[[list[Skipped]], None] = lambda skipped: None,
) -> int:
    """Turn a file of embeddings into a file of packed codes; return how many are its rows.

    The format "ann-benchmarks" holds some as queries instead.

    Parameters
    ----------
    source : str
        File or URL.
    quantizer : fitted quantizer
    out : path
    form : str, optional
        One of `h2q.rowfiles.FORMATS`; by default by the suffix of `out`, or else "npz".
    key, split, on_progress
        As in `index_rows`.
    on_skipped : callable
        Told at the end which rows have no code, being all zeros.

    Raises
    ------
    InvalidInputError
        If it holds no embeddings, or a row cannot be coded.
    FormatError
        If it is damaged.
    """
    check_place(out, *local_files(source))
    (shard,) = _embeddings(source, key, split, quantizer)
    written, skipped = 0, list[Skipped]()

    def batches(size: int) -> Iterator[Batch]:
        nonlocal written
        written = 0
        skipped.clear()
        task = Task(quantizer=b"")
        for start, stop in row_ranges(shard, shard_rows_at_a_time([shard])):
            rows = read_split(shard, start, stop, split)
            if len(rows):
                try:
                    done = code_rows(task, quantizer, rows, "embeddings")
                except InvalidInputError as error:
                    raise InvalidInputError(f"{source}, from row {start} on: {error}") from error
                skipped.extend(done.skipped)
                if not done.ids:
                    continue
                payloads = done.payloads or [None] * len(done.ids)
                yield Batch(list(done.ids), done.arrays["codes"], payloads)
                written += len(done.ids)

    stream = CodeStream(int(quantizer.n_bits_), shard.n_rows, batches)
    known = form or (None if str(out).lower().endswith((*SUFFIXES, ".csv")) else "npz")
    write_codes(stream.with_progress(on_progress), out, known)
    on_skipped(skipped)
    return written - held_out(out, format_of(out, known), written)


def _embeddings(
    source: str, key: str | None, split: str | None, quantizer: Any
) -> list[Shard]:  # fmt: skip
    shards = find_shards(source, key=key)
    if shards[0].kind == "codes":
        raise InvalidInputError(f"{shards[0].file.url} holds codes already; give embeddings")
    check_split(shards, split)
    check_width(quantizer, shards[0].width, shards[0].file.url)
    return shards


def _form(out: str, form: str | None, maker: bytes, n_bits: int | None) -> PartFormat:
    suffix = form or "npz"
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
