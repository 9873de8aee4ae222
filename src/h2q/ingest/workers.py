"""What a worker does with a unit; the same in this process and on a node of a cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from h2q._addresses import without_secrets
from h2q._typing import CodeArray
from h2q.codes import code_width
from h2q.errors import H2QError, InvalidInputError
from h2q.images import MAX_PIXELS
from h2q.ingest.batches import in_batches
from h2q.ingest.parts import PartFormat, write_part
from h2q.ingest.photo_files import photo_path, seen_in
from h2q.ingest.photo_reader import PhotoReader, code_photos
from h2q.ingest.read_ahead import read_ahead
from h2q.ingest.report import Skipped
from h2q.ingest.units import PhotoUnit, Result, RowUnit, Unit
from h2q.quantization.arrays import to_numpy
from h2q.quantization.serialization import from_bytes
from h2q.rowfiles.rows import Kind, Rows
from h2q.rowfiles.shards import read_split
from h2q.rowfiles.storage import FoundFile, is_shared, is_url, read_bytes


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
        Goes before every id.
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
    """Code rows of embeddings, or pass codes on, as a collection takes them."""
    arrays: dict[str, NDArray[Any]] = {}
    values = rows.values
    if task.want_codes:
        none = kind == "codes" or not len(rows)
        arrays["codes"] = values if none else to_numpy(quantizer.transform(values))
    if task.want_rows and kind == "embeddings" and len(rows):
        kept = values if task.raw else quantizer.rotate(values)
        arrays["rows"] = np.asarray(to_numpy(kept), dtype=np.float32)
    payloads = rows.all_payloads()
    ids: Any = list(rows.ids or [])
    if task.prefix:
        ids = [f"{task.prefix}/{each}" for each in ids]
    known = any(payload is not None for payload in payloads)
    return Result(number, ids, arrays, payloads if known else None)


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

        def load(file: FoundFile) -> tuple[FoundFile, dict[str, Any], Any] | Skipped:
            try:
                data = read_bytes(file.url)
            except (OSError, H2QError) as error:
                return Skipped(file.url, getattr(error, "strerror", None) or str(error))
            looked = reader.look(data, file.url)
            if isinstance(looked, Skipped):
                return looked
            digest = hashlib.sha256(data).hexdigest()
            return file, photo_payload(unit.root, file, digest, looked[0]), looked[1]

        result = Result(unit.number, payloads=[], labels=[])
        blocks: list[NDArray[np.float32]] = []
        coded: list[CodeArray] = []
        ids: list[str] = []
        payloads: list[dict[str, Any] | None] = []
        for part in in_batches(
            read_ahead(load, unit.files, ahead=2 * task.batch_size), task.batch_size
        ):
            result.skipped.extend(each for each in part if isinstance(each, Skipped))
            good = [each for each in part if not isinstance(each, Skipped)]
            if not good:
                continue
            rows = encoder.embed([prepared for _, _, prepared in good])
            places = list(range(len(good)))
            if task.want_codes:
                names = [file.url for file, _, _ in good]
                places, codes = code_photos(encoder, rows, names, result.skipped)
                coded.append(codes)
            blocks.append(rows[places])
            ids += [photo_name(task.prefix, good[place][0]) for place in places]
            payloads += [good[place][1] for place in places]
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


def photo_name(prefix: str, file: FoundFile) -> str:
    """Id of a photo: its path below the folder, after the prefix if there is one."""
    return f"{prefix}/{file.name}" if prefix else file.name


def photo_payload(
    root: str, file: FoundFile, digest: str, seen: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what is stored of a photo; of a local one, what `index_folder` would store."""
    stored: dict[str, Any] = {"path": file.name, "folder": root, "size": file.size}
    if is_url(file.url):
        stored["version"] = file.version
    else:
        stored["mtime_ns"] = int(file.version)
    stored["sha256"] = digest
    if "/" in file.name:
        stored["label"] = file.name.split("/")[0]
    return {**stored, **seen}


def is_unchanged(stored: dict[str, Any] | None, root: str, file: FoundFile) -> bool:
    """Whether a collection's payload is that of this photo as it lies there now."""
    if not stored:
        return False
    want = photo_payload(root, file, str(stored.get("sha256")), seen_in(stored))
    return stored == want


def check_free(stored: dict[str, Any] | None, root: str, item_id: str) -> None:
    """Raise `InvalidInputError` where an id stands for a photo elsewhere that still exists."""
    other = None if not stored else stored.get("folder")
    if other is None or without_secrets(str(other)) == root:
        return
    path = photo_path(stored)
    # A local folder may have been moved; of a store that is not asked.
    if is_url(str(other)) or (path is not None and path.exists()):
        raise InvalidInputError(
            f"the id {item_id!r} already stands for a photo of {other}; to index {root} into the "
            "same collection, give it a prefix of its own (--prefix)"
        )


def _name(unit: Unit) -> str:
    if isinstance(unit, RowUnit):
        return f"{unit.shard.file.url}, rows {unit.start} to {unit.stop - 1}"
    return f"{unit.root}, {unit.files[0].name} to {unit.files[-1].name}"
