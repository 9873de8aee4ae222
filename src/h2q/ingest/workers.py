"""What a worker does with a unit; the same in this process and on a node of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.codes import code_width
from h2q.errors import H2QError
from h2q.images import MAX_PIXELS
from h2q.ingest.batches import in_batches
from h2q.ingest.parts import PartFormat, write_part
from h2q.ingest.photo_reader import LoadedPhoto, PhotoReader, code_photos
from h2q.ingest.read_ahead import read_ahead
from h2q.ingest.report import Skipped
from h2q.ingest.units import PhotoUnit, Result, RowUnit, Unit
from h2q.quantization.arrays import to_numpy
from h2q.quantization.serialization import from_bytes
from h2q.rowfiles.rows import Kind, Rows
from h2q.rowfiles.shards import read_split
from h2q.rowfiles.storage import is_shared

#: Why a row of zeros is skipped.
NO_DIRECTION: Final = "it is all zeros, so it has no direction and no code"


class Worker(Protocol):
    """Turns units into results."""

    def __call__(self, unit: Unit) -> Result:
        """Do one unit; what is wrong with its content comes back as `Result.error`."""


@dataclass(frozen=True)
class Task:
    """What workers are told once; small enough to be sent to each.

    Attributes
    ----------
    model : bytes or None
        A model file, for photos.
    quantizer : bytes or None
        A quantizer file, for rows of embeddings; without one, rows are codes already.
    want_codes, want_rows : bool
        What the result holds.
    raw : bool
        Rows are those before rotation, as a collection that has the quantizer takes them; else
        they are rotated.
    prefix : str
        Goes before every id of rows; photos have theirs.
    split : str or None
        Only rows of this split.
    device : str
        Where the network runs.
    batch_size : int
        Photos the network takes at a time.
    max_pixels : int
        Photos of more are skipped.
    gps : bool
        Whether payloads say where a photo was taken.
    parts : PartFormat or None
        Write part files instead of sending arrays back, where every node reaches the place.
    """

    model: bytes | None = None
    quantizer: bytes | None = None
    want_codes: bool = True
    want_rows: bool = False
    raw: bool = False
    prefix: str = ""
    split: str | None = None
    device: str = "auto"
    batch_size: int = 64
    max_pixels: int = MAX_PIXELS
    gps: bool = False
    parts: PartFormat | None = None

    def worker(self) -> Worker:
        """Make a worker: loads the model, once."""
        inner: Worker = _PhotoWorker(self) if self.model is not None else _RowWorker(self)
        return _Guarded(inner, self)


class _Guarded:
    """Turns errors of the data into results, and writes parts."""

    def __init__(self, inner: Worker, task: Task) -> None:
        self._inner, self._task = inner, task

    def __call__(self, unit: Unit) -> Result:
        try:
            result = self._inner(unit)
            parts = self._task.parts
            if parts is not None and is_shared(parts.folder):
                write_part(parts, unit, result)
                return Result(unit.number, skipped=result.skipped, written=len(result.ids))
        except (H2QError, OSError) as error:
            return Result(unit.number, error=f"{_name(unit)}: {error}")
        return result


class _RowWorker:
    def __init__(self, task: Task) -> None:
        self._task = task
        self._quantizer: Any = None if task.quantizer is None else from_bytes(task.quantizer)

    def __call__(self, unit: Unit) -> Result:
        if not isinstance(unit, RowUnit):
            raise TypeError("photos need a model")
        rows = read_split(unit.shard, unit.start, unit.stop, self._task.split)
        return code_rows(self._task, self._quantizer, rows, unit.shard.kind, unit.number)


def code_rows(task: Task, quantizer: Any, rows: Rows, kind: Kind, number: int = 0) -> Result:
    """Code rows of embeddings, or pass codes on, as a collection takes them.

    Rows of zeros have no direction and no code; they are skipped, as photos that cannot be read.
    """
    arrays: dict[str, NDArray[Any]] = {}
    before, skipped = f"{task.prefix}/" if task.prefix else "", list[Skipped]()
    if kind == "embeddings":
        has_direction = np.asarray(rows.values).any(axis=1)
        if not has_direction.all():
            for place in np.flatnonzero(~has_direction).tolist():
                name = place if rows.ids is None else rows.ids[place]
                skipped.append(Skipped(f"row {before}{name}", NO_DIRECTION))
            rows = rows.take(np.flatnonzero(has_direction))
    values = rows.values
    if task.want_codes:
        none = kind == "codes" or not len(rows)
        arrays["codes"] = values if none else to_numpy(quantizer.transform(values))
    if task.want_rows and kind == "embeddings" and len(rows):
        kept = values if task.raw else quantizer.rotate(values)
        arrays["rows"] = np.asarray(to_numpy(kept), dtype=np.float32)
    payloads = rows.all_payloads()
    ids: Any = list(rows.ids or [])
    if before:
        ids = [f"{before}{each}" for each in ids]
    known = any(payload is not None for payload in payloads)
    unlabelled = 0 if rows.labels is None else rows.labels.values.count(None)
    return Result(
        number, ids, arrays, payloads if known else None, skipped=skipped, unlabelled=unlabelled
    )


class _PhotoWorker:
    def __init__(self, task: Task) -> None:
        from h2q.ingest.models import encoder_of

        if task.model is None:
            raise TypeError("photos need a model")
        self._task = task
        quantizer = None if task.quantizer is None else from_bytes(task.quantizer)
        self._encoder = encoder_of(task.model, quantizer, device=task.device)

    def __call__(self, unit: Unit) -> Result:
        if not isinstance(unit, PhotoUnit):
            raise TypeError("rows need a quantizer, not a model")
        task, encoder = self._task, self._encoder

        reader = PhotoReader(encoder, task.max_pixels, task.gps)

        result = Result(unit.number, payloads=[], labels=[])
        blocks: list[NDArray[np.float32]] = []
        coded: list[CodeArray] = []
        ids: list[str] = []
        payloads: list[dict[str, Any] | None] = []
        loaded = read_ahead(reader.read, unit.files, ahead=2 * task.batch_size)
        for part in in_batches(loaded, task.batch_size):
            result.skipped.extend(each for each in part if isinstance(each, Skipped))
            good = [each for each in part if isinstance(each, LoadedPhoto)]
            if not good:
                continue
            rows = encoder.embed([photo.prepared for photo in good])
            places = list(range(len(good)))
            if task.want_codes:
                names = [photo.file.shown for photo in good]
                places, codes = code_photos(encoder, rows, names, result.skipped)
                coded.append(codes)
            blocks.append(rows[places])
            ids += [good[place].file.id for place in places]
            payloads += [good[place].payload for place in places]
        arrays: dict[str, NDArray[Any]] = {}
        if task.want_codes:
            none = np.zeros((0, code_width(encoder.n_bits)), np.uint8)
            arrays["codes"] = np.concatenate([none, *coded])
        if task.want_rows:
            whole = np.concatenate([np.zeros((0, encoder.dimension), np.float32), *blocks])
            arrays["rows"] = whole if task.raw or not len(whole) else encoder.rotate(whole)
        labels = [str(p["label"]) for p in payloads if p is not None and "label" in p]
        named = labels if len(labels) == len(ids) else None
        return Result(unit.number, ids, arrays, payloads, named, result.skipped)


def _name(unit: Unit) -> str:
    if isinstance(unit, RowUnit):
        return f"{unit.shard.file.url}, rows {unit.start} to {unit.stop - 1}"
    return f"{unit.files[0].shown} to {unit.files[-1].name}"
