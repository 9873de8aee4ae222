"""Index a folder of photos: what is new or changed is read, encoded and stored, batch by batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray, StrPath
from h2q.collections.base import Collection
from h2q.errors import CompatibilityError, InvalidInputError
from h2q.images import (
    MAX_PIXELS,
    FoundPhoto,
    find_photos,
    is_video,
    not_read,
    suffix_of,
)
from h2q.ingest.batches import in_batches
from h2q.ingest.encoder import Encoder
from h2q.ingest.photo_files import readable, seen_in
from h2q.ingest.photo_reader import EmbeddedPhoto, LoadedPhoto, PhotoReader, code_photos
from h2q.ingest.plan import Known, Plan, known_by_content, make_plan
from h2q.ingest.read_ahead import read_ahead
from h2q.ingest.report import IndexReport, OnProgress, Skipped, no_progress


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
    found: FoundPhotos | None = None,
    embedded: Mapping[str, EmbeddedPhoto] | None = None,
    on_progress: OnProgress = no_progress,
) -> IndexReport:
    """Bring a collection up to date with a folder of photos.

    Every batch is durable before the next is read, so a run that is interrupted, or killed, has
    lost nothing it finished, and the next run does the rest. A photo that was moved or renamed is
    known again by its content: its item gets the new id, and nothing is embedded twice. (Where the
    collection keeps something of the rows, which cannot be read back, it is embedded again.)

    Parameters
    ----------
    folder : path
        Read with all its subfolders. The first folder below it is stored as the photo's label.
    collection : Collection
        Items get the path below `folder` as their id.
    encoder : Encoder
        A model (`PhotoEncoder`), or an encoder with a quantizer (`CodedEncoder`).
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
    found : FoundPhotos, optional
        What a scan of the folder found a moment ago (`look_through`).
    embedded : mapping of str to EmbeddedPhoto, optional
        Photos that were embedded a moment ago, by their path below the folder.
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
    found = found or look_through(folder)
    report = IndexReport(skipped=list(found.skipped), passed_over=dict(found.passed_over))
    plan = make_plan(collection, found.root, prefix.strip("/"), found.photos)
    report.unchanged = plan.unchanged
    report.skipped.extend(Skipped(path, reason) for path, reason in plan.unreadable)
    if collection.keep == "codes":
        _renew(collection, plan, report, batch_size)
    reader = PhotoReader(encoder, max_pixels, gps)
    encoding = _Encoding(collection, encoder, plan, report, embedded or {})
    encoding.run(reader, batch_size, on_progress)
    if prune:
        report.removed = collection.delete(plan.gone)
    else:
        report.gone = len(plan.gone)
    return report


@dataclass(frozen=True)
class FoundPhotos:
    """What a scan of a folder found.

    Attributes
    ----------
    root : Path
        The folder, absolute.
    photos : list of FoundPhoto
        In any order.
    skipped : list of Skipped
        Photos in formats that are not read, and folders that may not be.
    passed_over : dict of str to int
        Films, counted by their suffix.
    """

    root: Path
    photos: list[FoundPhoto]
    skipped: list[Skipped]
    passed_over: dict[str, int]


def look_through(folder: StrPath) -> FoundPhotos:
    """Scan a folder for photos.

    Raises
    ------
    InvalidInputError
        If the folder does not exist or holds no photo that is read; says what it holds instead.
    """
    root = Path(folder).expanduser().resolve()
    skipped: list[Skipped] = []
    films: Counter[str] = Counter()

    def note(error: OSError) -> None:
        name = readable(str(error.filename))
        skipped.append(Skipped(name, error.strerror or str(error)))

    def other(path: Path) -> None:
        suffix = suffix_of(path.name)
        reason = not_read(suffix)
        if reason is not None:
            skipped.append(Skipped(readable(str(path)), reason))
        elif is_video(suffix):
            films[suffix] += 1

    photos = find_photos(root, on_error=note, on_other=other)
    if not photos:
        counted = Counter(suffix_of(each.path) for each in skipped) + films
        there = ", ".join(f"{n:,} {suffix or 'folders'}" for suffix, n in counted.most_common(5))
        raise InvalidInputError(
            f"{root} holds no image that can be read (a file with a suffix such as .jpg, .png or "
            f".webp that is not hidden){f', but {there}' if there else ''}; is it the right folder?"
        )
    return FoundPhotos(root, photos, skipped, dict(films))


def _renew(collection: Collection, plan: Plan, report: IndexReport, batch_size: int) -> None:
    """Store new payloads with the codes that are there."""
    for part in in_batches(plan.touched, batch_size):
        items = collection.get([file.id for file, _ in part])
        held = [(item, payload) for item, (_, payload) in zip(items, part, strict=True) if item]
        if held:
            codes = np.stack([item.code for item, _ in held])
            collection.add([item.id for item, _ in held], codes, [payload for _, payload in held])
        report.renewed += len(held)


class _Encoding:
    """Reads, encodes and stores what is new or changed."""

    def __init__(
        self,
        collection: Collection,
        encoder: Encoder,
        plan: Plan,
        report: IndexReport,
        embedded: Mapping[str, EmbeddedPhoto],
    ) -> None:
        self._collection, self._encoder, self._plan = collection, encoder, plan
        self._report, self._embedded_before = report, embedded
        self._rows = {str(each.payload["sha256"]): each.row for each in embedded.values()}
        self._codes_alone = collection.keep == "codes"
        self._is_new = {file.id for file in plan.new}
        self._gone = set(plan.gone)
        self._todo = [*plan.new, *plan.changed]
        # A record cannot be read back, so where there are some, what was touched is encoded again.
        touched = [] if self._codes_alone else [file for file, _ in plan.touched]
        self._is_touched = {file.id for file in touched}
        # By content; photos stored in this run join it.
        self._known = known_by_content(collection, self._todo)
        self._todo += touched

    def run(self, reader: PhotoReader, batch_size: int, on_progress: OnProgress) -> None:
        done, total = 0, len(self._todo)
        on_progress(done, total)
        known = self._known if self._codes_alone else None
        loaded = read_ahead(
            lambda file: reader.read(file, known, self._embedded_before),
            self._todo,
            ahead=2 * batch_size,
            processes=self._encoder.on_gpu,
        )
        for part in in_batches(loaded, batch_size):
            photos = [result for result in part if isinstance(result, LoadedPhoto)]
            self._report.skipped.extend(each for each in part if isinstance(each, Skipped))
            if photos:
                self._store(photos)
            done += len(part)
            on_progress(done, total)
        # Those that were moved have been taken out.
        self._plan.gone = [item_id for item_id in self._plan.gone if item_id in self._gone]

    def _store(self, photos: Sequence[LoadedPhoto]) -> None:
        photos, codes, rows = self._coded(photos)
        if not photos:
            return
        ids = [photo.file.id for photo in photos]
        payloads = [photo.payload for photo in photos]
        self._collection.add(ids, codes, payloads, embeddings=rows)
        moved_from = self._moved(photos)
        if moved_from:
            self._collection.delete(list(moved_from))
            self._gone -= moved_from
        added = sum(item_id in self._is_new for item_id in ids) - len(moved_from)
        renewed = sum(item_id in self._is_touched for item_id in ids) + len(moved_from)
        self._report.added += added
        self._report.renewed += renewed
        self._report.updated += len(ids) - added - renewed
        for photo, code in zip(photos, codes, strict=True):
            twin = Known(photo.file.id, code, seen_in(photo.payload))
            self._known.setdefault(str(photo.payload["sha256"]), twin)

    def _moved(self, photos: Sequence[LoadedPhoto]) -> set[str]:
        """Ids whose files are gone and whose content has just come in under another name."""
        moved: set[str] = set()
        for photo in photos:
            twin = self._known.get(str(photo.payload["sha256"]))
            if twin is not None and photo.file.id in self._is_new and twin.id in self._gone:
                moved.add(twin.id)
                self._known.pop(str(photo.payload["sha256"]))
        return moved

    def _coded(
        self, photos: Sequence[LoadedPhoto]
    ) -> tuple[list[LoadedPhoto], CodeArray, NDArray[np.float32] | None]:
        """Codes and, where the collection keeps something of them, the rows as it takes them."""
        fresh = [photo for photo in photos if photo.known is None]
        kept, rows, codes = self._embedded(fresh)
        coded = {photo.file.id: code for photo, code in zip(kept, codes, strict=True)}
        coded |= {photo.file.id: photo.known.code for photo in photos if photo.known is not None}
        kept = [photo for photo in photos if photo.file.id in coded]
        packed = np.array([coded[photo.file.id] for photo in kept], dtype=np.uint8)
        if self._codes_alone:
            return kept, packed, None
        # A collection with a quantizer of its own rotates; without one the model's rotation is it.
        return kept, packed, rows if self._collection.quantizer else self._encoder.rotate(rows)

    def _embedded(
        self, photos: Sequence[LoadedPhoto]
    ) -> tuple[list[LoadedPhoto], NDArray[np.float32], CodeArray]:
        """Rows and codes of photos; those without a direction are skipped."""
        digests = [str(photo.payload["sha256"]) for photo in photos]
        unseen = [i for i, digest in enumerate(digests) if digest not in self._rows]
        made = self._encoder.embed([photos[i].prepared for i in unseen]) if unseen else ()
        by_place = dict(zip(unseen, made, strict=True))
        rows = [
            by_place[i] if i in by_place else self._rows[digests[i]] for i in range(len(photos))
        ]
        if not rows:
            return [], np.empty((0, 0), dtype=np.float32), np.empty((0, 0), dtype=np.uint8)
        names = [readable(str(photo.file.path)) for photo in photos]
        stacked = np.stack(rows)
        places, codes = code_photos(self._encoder, stacked, names, self._report.skipped)
        return [photos[place] for place in places], stacked[places], codes
