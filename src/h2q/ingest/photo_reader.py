"""A photo read once: the hash of its content, its facts, the network's input; and its code."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.codes import code_width
from h2q.errors import H2QError, ImageError, InvalidInputError
from h2q.images import MAX_PIXELS, read_photo
from h2q.ingest.encoder import Encoder
from h2q.ingest.photo_files import PhotoFile, version_key
from h2q.ingest.plan import Known
from h2q.ingest.report import Skipped
from h2q.rowfiles.storage import read_bytes


@dataclass(frozen=True)
class LoadedPhoto:
    """A photo that was read.

    Attributes
    ----------
    file : PhotoFile
    payload : dict
        What the collection stores with its code.
    prepared : object
        The network's input; None where the content is known.
    known : Known or None
        The stored item of the same content.
    """

    file: PhotoFile
    payload: dict[str, Any]
    prepared: Any
    known: Known | None = None


class EmbeddedPhoto(NamedTuple):
    """A photo that was embedded a moment ago.

    Attributes
    ----------
    payload : dict
        As `LoadedPhoto` has it.
    row : ndarray of shape (d,)
    """

    payload: dict[str, Any]
    row: NDArray[np.float32]


class PhotoReader:
    """Reads a photo's file once: its content's hash, its facts, the network's input.

    Parameters
    ----------
    encoder : Encoder
        Its `prepare` is called; from many threads.
    max_pixels : int
    gps : bool
    """

    def __init__(self, encoder: Any, max_pixels: int = MAX_PIXELS, gps: bool = False) -> None:
        self._encoder, self._max_pixels, self._gps = encoder, max_pixels, gps

    def read(
        self,
        file: PhotoFile,
        known: Mapping[str, Known] | None = None,
        embedded: Mapping[str, EmbeddedPhoto] | None = None,
    ) -> LoadedPhoto | Skipped:
        """Read a photo, or say why it cannot be.

        Of known content nothing is decoded; what was embedded a moment ago is not even read.
        """
        ready = None if embedded is None else embedded.get(file.name)
        if ready is not None:
            payload = ready.payload
            if (payload["size"], payload[version_key(file.folder)]) == (file.size, file.version):
                return LoadedPhoto(file, payload, None)
        name = file.shown
        try:
            data, status = _content(file)
        except (OSError, H2QError) as error:
            said = getattr(error, "strerror", None) or str(error)
            return Skipped(name, said.removeprefix(f"{file.url}: "))
        digest = hashlib.sha256(data).hexdigest()
        twin = None if known is None else known.get(digest)
        if twin is not None and twin.serves(self._gps):
            return LoadedPhoto(file, file.payload(digest, twin.seen, status), None, twin)
        looked = self.look(data, name)
        if isinstance(looked, Skipped):
            return looked
        seen, prepared = looked
        return LoadedPhoto(file, file.payload(digest, seen, status), prepared)

    def look(self, data: bytes, name: str) -> tuple[dict[str, Any], Any] | Skipped:
        """Return what a photo's content shows and the network's input, or why there is none."""
        try:
            photo = read_photo(
                data,
                max_pixels=self._max_pixels,
                name=name,
                draft_side=self._encoder.draft_side,
                gps=self._gps,
            )
        except ImageError as error:
            return Skipped(name, str(error).removeprefix(f"{name}: "))
        try:
            return photo.payload(), self._encoder.prepare(photo.image)
        except Exception as error:
            # Whatever it is: one odd picture is not the end of a run over thousands.
            return Skipped(name, f"cannot be prepared for the network ({error or type(error)})")


def _content(file: PhotoFile) -> tuple[bytes, os.stat_result | None]:
    """Read a photo's file and, of a local one, what it is now."""
    if not file.is_local:
        return read_bytes(file.url), None
    status = file.path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would never end
        raise ImageError("is not a regular file")
    return file.path.read_bytes(), status


def code_photos(
    encoder: Encoder, rows: NDArray[np.float32], names: Sequence[str], skipped: list[Skipped]
) -> tuple[list[int], CodeArray]:
    """Code rows of photos; one without a direction is skipped, and is not the end of a run.

    Parameters
    ----------
    encoder : Encoder
    rows : ndarray of shape (n, d)
        Before rotation.
    names : sequence of n str
    skipped : list of Skipped
        Added to.

    Returns
    -------
    places : list of int
        Rows that have a code.
    codes : ndarray of shape (len(places), width), uint8
    """
    try:
        return list(range(len(rows))), encoder.code(rows)
    except InvalidInputError:
        places = []
        for place, name in enumerate(names):
            try:
                encoder.code(rows[place : place + 1])
            except InvalidInputError as error:
                skipped.append(Skipped(name, f"the network sees nothing in it ({error})"))
            else:
                places.append(place)
    if not places:
        return [], np.empty((0, code_width(encoder.n_bits)), dtype=np.uint8)
    return places, encoder.code(rows[places])
