"""Index a folder of photos: what is new or changed is read, encoded and stored, batch by batch."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray, StrPath
from h2q.codes import pack
from h2q.collections.base import Collection
from h2q.errors import CompatibilityError, ImageError, InvalidInputError
from h2q.images import MAX_PIXELS, read_photo, scan_folder
from h2q.ingest.batches import in_batches
from h2q.ingest.encoder import Encoder
from h2q.ingest.photo_files import PhotoFile, photo_id, relative_path
from h2q.ingest.plan import Plan, make_plan, vanished
from h2q.ingest.read_ahead import read_ahead
from h2q.ingest.report import IndexReport, OnProgress, Skipped, no_progress


@dataclass(frozen=True)
class _Photo:
    """A photo that was read."""

    file: PhotoFile
    payload: dict[str, Any]
    prepared: Any


def index_folder(
    folder: StrPath,
    collection: Collection,
    encoder: Encoder,
    *,
    prefix: str = "",
    prune: bool = False,
    batch_size: int | None = None,
    max_pixels: int = MAX_PIXELS,
    gps: bool = False,
    on_progress: OnProgress = no_progress,
) -> IndexReport:
    """Bring a collection up to date with a folder of photos.

    Every batch is durable before the next is read, so a run that is interrupted, or killed, has
    lost nothing it finished, and the next run does the rest.

    Parameters
    ----------
    folder : path
        Read with all its subfolders. The first folder below it is stored as the photo's label.
    collection : Collection
        Items get the path below `folder` as their id.
    encoder : Encoder
        A model (`PhotoEncoder`).
    prefix : str
        Goes before every id with a slash; keeps several folders in one collection apart.
    prune : bool
        Delete the items, of this folder and prefix, whose files are gone.
    batch_size : int, optional
        Photos encoded and stored at a time; the encoder's own by default.
    max_pixels : int
        Photos of more pixels are skipped (`h2q.images.read_photo`).
    gps : bool
        Whether the payload says where a photo was taken.
    on_progress : callable
        Told how many photos of how many are done.

    Returns
    -------
    IndexReport
        With every file that was skipped, and why.

    Raises
    ------
    InvalidInputError
        If the folder does not exist or holds no image, or an id already stands for a photo of
        another folder.
    CompatibilityError
        If the model's code length is not the collection's.
    """
    if encoder.n_bits != collection.n_bits:
        raise CompatibilityError(
            f"the model makes codes of {encoder.n_bits} bits, the collection {collection.uri} "
            f"holds codes of {collection.n_bits}; use the model it was made with"
        )
    batch_size = encoder.batch_size if batch_size is None else batch_size
    root = Path(folder).expanduser().resolve()
    report = IndexReport()
    files = _find(root, prefix.strip("/"), report)
    plan = make_plan(collection, files)
    report.unchanged = plan.unchanged
    report.skipped.extend(Skipped(path, reason) for path, reason in plan.unreadable)
    if collection.keep == "codes":
        _renew(collection, plan, report, batch_size)
    _encode(collection, encoder, plan, report, batch_size, max_pixels, gps, on_progress)
    if prune:
        gone = list(vanished(collection, root, prefix.strip("/")))
        report.removed = collection.delete(gone)
    return report


def _find(root: Path, prefix: str, report: IndexReport) -> list[PhotoFile]:
    def note(error: OSError) -> None:
        report.skipped.append(Skipped(str(error.filename), error.strerror or str(error)))

    files: list[PhotoFile] = []
    paths = scan_folder(root, on_error=note)
    for path in paths:
        item_id = photo_id(prefix, relative_path(path, root))
        try:
            str(path).encode()
        except UnicodeEncodeError:
            shown = str(path).encode(errors="replace").decode()
            report.skipped.append(Skipped(shown, "its name is not valid Unicode; rename it"))
            continue
        files.append(PhotoFile(item_id, root, path))
    check_some_images(root, paths)
    return files


def check_some_images(folder: Path, paths: Sequence[Path]) -> None:
    """Raise `InvalidInputError` if a scan found no image."""
    if not paths:
        raise InvalidInputError(
            f"{folder} holds no image (a file with a suffix such as .jpg, .png or .webp that is "
            "not hidden); is it the right folder?"
        )


def _renew(collection: Collection, plan: Plan, report: IndexReport, batch_size: int) -> None:
    """Store new payloads with the codes that are there."""
    for part in in_batches(plan.moved, batch_size):
        items = collection.get([file.id for file, _ in part])
        held = [(item, payload) for item, (_, payload) in zip(items, part, strict=True) if item]
        if held:
            codes = np.stack([item.code for item, _ in held])
            collection.add([item.id for item, _ in held], codes, [payload for _, payload in held])
        report.renewed += len(held)


def _encode(
    collection: Collection,
    encoder: Encoder,
    plan: Plan,
    report: IndexReport,
    batch_size: int,
    max_pixels: int,
    gps: bool,
    on_progress: OnProgress,
) -> None:
    def load(file: PhotoFile) -> _Photo | Skipped:
        try:
            status = file.path.stat()
            if not stat.S_ISREG(status.st_mode):  # a pipe would never end
                return Skipped(str(file.path), "is not a regular file")
            data = file.path.read_bytes()
            photo = read_photo(data, max_pixels=max_pixels, name=str(file.path), gps=gps)
            prepared = encoder.prepare(photo.image)
        except ImageError as error:
            return Skipped(str(file.path), str(error).removeprefix(f"{file.path}: "))
        except OSError as error:
            return Skipped(str(file.path), error.strerror or str(error))
        digest = hashlib.sha256(data).hexdigest()
        payload = file.payload(status.st_size, status.st_mtime_ns, digest, photo.payload())
        return _Photo(file, payload, prepared)

    todo = [*plan.new, *plan.changed]
    is_new = {file.id for file in plan.new}
    # A record cannot be read back, so where there are some, what only moved is encoded again.
    moved = [] if collection.keep == "codes" else [file for file, _ in plan.moved]
    is_moved = {file.id for file in moved}
    todo += moved
    done = 0
    on_progress(done, len(todo))
    loaded = read_ahead(load, todo, ahead=2 * batch_size, processes=encoder.on_gpu)
    for part in in_batches(loaded, batch_size):
        photos = [result for result in part if isinstance(result, _Photo)]
        report.skipped.extend(result for result in part if isinstance(result, Skipped))
        if photos:
            codes, rows = _coded(collection, encoder, [photo.prepared for photo in photos])
            ids = [photo.file.id for photo in photos]
            collection.add(ids, codes, [photo.payload for photo in photos], embeddings=rows)
            added = sum(item_id in is_new for item_id in ids)
            renewed = sum(item_id in is_moved for item_id in ids)
            report.added += added
            report.renewed += renewed
            report.updated += len(ids) - added - renewed
        done += len(part)
        on_progress(done, len(todo))


def _coded(
    collection: Collection, encoder: Encoder, prepared: list[Any]
) -> tuple[CodeArray, NDArray[np.float32] | None]:
    """Codes and, where the collection keeps something of them, the rows as it takes them."""
    if collection.keep == "codes":
        return encoder.encode(prepared), None
    rows = encoder.embed(prepared)
    rotated = encoder.rotate(rows)
    # A collection with a quantizer of its own rotates; without one the model's rotation is it.
    return pack(rotated), rotated if collection.quantizer is None else rows
