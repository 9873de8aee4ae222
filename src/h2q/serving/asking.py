"""Photos that somebody asks about: embedded once, kept under a token, then searched with."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from h2q._closing import Closing
from h2q._typing import CodeArray
from h2q.codes import pack
from h2q.encoders import TextEncoder
from h2q.errors import InvalidInputError
from h2q.ingest.encoder import CodedEncoder, Encoder
from h2q.searching.searcher import Searcher
from h2q.serving.batching import Batcher
from h2q.serving.photos import THUMBNAIL, PhotoStore, webp_of
from h2q.serving.side_file import Asked, SideFile


class AskedPhotos(Closing):
    """The photos, and the encoder of the collection; its methods may be called from many threads.

    Parameters
    ----------
    searcher : Searcher
        Knows the collection and what photos are encoded with; that is loaded when it is needed.
    photos : callable
        Returns what reads photos.
    side_file : SideFile
        Keeps them.
    on_batch : callable
        Told how many photos are embedded together.
    """

    def __init__(
        self,
        searcher: Searcher,
        photos: Callable[[], PhotoStore],
        side_file: SideFile,
        on_batch: Callable[[int], None],
    ) -> None:
        self._searcher, self._collection = searcher, searcher.collection
        self._photos, self._side_file, self._on_batch = photos, side_file, on_batch
        self._encoder: Encoder | None = None
        self._embed: Batcher[Any, NDArray[np.float32]] | None = None
        self._lock = threading.Lock()

    @property
    def can_be_asked(self) -> bool:
        """Whether the collection says with what photos are encoded."""
        return self._encoder is not None or "model" in self._collection.fingerprints

    @property
    def encoder_name(self) -> str | None:
        """What encodes photos, once it is loaded."""
        if self._encoder is None:
            return None
        return str(getattr(self._inner, "name", "a trained model"))

    @property
    def understands_words(self) -> bool:
        """Whether the encoder, once it is loaded, has a network of texts."""
        inner = self._inner
        return isinstance(inner, TextEncoder) and getattr(inner, "text", inner) is not None

    @property
    def _inner(self) -> Any:
        encoder = self._encoder
        return encoder.encoder if isinstance(encoder, CodedEncoder) else encoder

    def ask(self, data: bytes) -> Asked:
        """Embed a photo and keep it, so that it can be searched with by its token.

        Raises
        ------
        ImageError
            If the bytes are no photo, or one too large.
        InvalidInputError
            If the collection has nothing to encode photos with.
        """
        token = hashlib.sha256(data).hexdigest()
        known = self._side_file.asked(token)
        if known is not None:
            return known
        image = self._photos().read_upload(data)
        asked = Asked(token, self.embed(image), webp_of(image, THUMBNAIL))
        self._side_file.keep_asked(asked)
        return asked

    def get(self, token: str) -> Asked:
        """Return a photo by its token.

        Raises
        ------
        InvalidInputError
            If it is not kept.
        """
        known = self._side_file.asked(token)
        if known is None:
            raise InvalidInputError("this photo is no longer kept by the server; give it again")
        return known

    def embed(self, image: Image.Image) -> NDArray[np.float32]:
        """Return a photo's row as the collection takes real queries; batched with others."""
        encoder, embed = self.load()
        return embed(encoder.prepare(image))

    def code_of(self, row: NDArray[np.float32]) -> CodeArray:
        """Return the code of a photo's row, shape (ceil(n_bits / 8),)."""
        rows = row[None, :]
        if self._collection.quantizer is not None:
            quantizer: Any = self._collection.quantizer
            coded: CodeArray = quantizer.transform(rows)[0]  # not signs of rows for every one
            return coded
        code: CodeArray = pack(rows)[0]
        return code

    def load(self) -> tuple[Encoder, Batcher[Any, NDArray[np.float32]]]:
        """Return the encoder, and what embeds what it has prepared; loaded once."""
        with self._lock:
            if self._encoder is None or self._embed is None:
                encoder = self._searcher.encoder
                rotates = self._collection.quantizer is None

                def rows(prepared: list[Any]) -> Sequence[NDArray[np.float32]]:
                    found = encoder.embed(prepared)
                    return list(encoder.rotate(found) if rotates else found)

                self._encoder = encoder
                self._embed = Batcher(rows, self._on_batch)
            return self._encoder, self._embed

    def close(self) -> None:
        """Finish what is being embedded."""
        if self._embed is not None:
            self._embed.close()
