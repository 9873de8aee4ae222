"""Index a folder of photos: what is new or changed is read, encoded and stored, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray, StrPath
from h2q.collections.base import Collection
from h2q.images import MAX_PIXELS
from h2q.ingest.batches import in_batches
from h2q.ingest.encoder import Encoder
from h2q.ingest.listing import PhotoListing, list_photos
from h2q.ingest.photo_reader import EmbeddedPhoto, LoadedPhoto, PhotoReader, code_photos
from h2q.ingest.read_ahead import read_ahead
from h2q.ingest.report import IndexReport, OnProgress, Skipped, no_progress
from h2q.ingest.storing import check_bits
from h2q.ingest.update import Update


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
    found: PhotoListing | None = None,
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
    found : PhotoListing, optional
        What a scan of the folder found a moment ago (`list_photos`).
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
    check_bits(collection, encoder.n_bits, "the model makes")
    batch_size = encoder.batch_size if batch_size is None else batch_size
    update = Update(collection, found or list_photos(folder), prefix, batch_size)
    reader = PhotoReader(encoder, max_pixels, gps)
    _Encoding(update, encoder, embedded or {}).run(reader, batch_size, on_progress)
    return update.finish(prune=prune)


class _Encoding:
    """Reads, encodes and stores what is new or changed, in this process."""

    def __init__(
        self, update: Update, encoder: Encoder, embedded: Mapping[str, EmbeddedPhoto]
    ) -> None:
        self._update, self._encoder, self._embedded_before = update, encoder, embedded
        self._rows = {str(each.payload["sha256"]): each.row for each in embedded.values()}

    def run(self, reader: PhotoReader, batch_size: int, on_progress: OnProgress) -> None:
        update, todo = self._update, self._update.todo
        done = 0
        on_progress(done, len(todo))
        known = update.known if update.codes_alone else None
        loaded = read_ahead(
            lambda file: reader.read(file, known, self._embedded_before),
            todo,
            ahead=2 * batch_size,
            processes=self._encoder.on_gpu,
        )
        for part in in_batches(loaded, batch_size):
            photos = [result for result in part if isinstance(result, LoadedPhoto)]
            update.report.skipped.extend(each for each in part if isinstance(each, Skipped))
            if photos:
                kept, codes, rows = self._coded(photos)
                ids = [photo.file.id for photo in kept]
                update.store(ids, codes, [photo.payload for photo in kept], rows)
            done += len(part)
            on_progress(done, len(todo))

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
        if self._update.codes_alone:
            return kept, packed, None
        # A collection with a quantizer of its own rotates; without one the model's rotation is it.
        own = self._update.collection.quantizer
        return kept, packed, rows if own else self._encoder.rotate(rows)

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
        names = [photo.file.shown for photo in photos]
        stacked = np.stack(rows)
        places, codes = code_photos(self._encoder, stacked, names, self._update.report.skipped)
        return [photos[place] for place in places], stacked[places], codes
