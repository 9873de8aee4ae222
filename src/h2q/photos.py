"""A collection of photos in four lines: index a folder, search, find duplicates."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from h2q._addresses import without_secrets
from h2q._closing import Closing
from h2q._paths import path_text
from h2q._typing import StrPath
from h2q.collections import open_collection
from h2q.collections.base import Collection, Id, Keep, Where
from h2q.collections.fields import unmet
from h2q.errors import H2QError, InvalidInputError
from h2q.ingest.models import exists
from h2q.ingest.photos import index_photos
from h2q.ingest.report import IndexReport, OnProgress, no_progress
from h2q.searching.searcher import Hit, Result, Searcher

#: A photo as people have it: its path, an open picture, or the id of an item.
Wanted = StrPath | Image.Image | NDArray[Any] | int


def open_photos(
    uri: StrPath,
    *,
    encoder: str | None = None,
    model: StrPath | None = None,
    n_bits: int | None = None,
    keep: Keep | None = None,
    device: str = "auto",
    mode: Literal["a", "r"] = "a",
) -> Photos:
    """Open a collection of photos; it is made when the first folder is indexed.

    Parameters
    ----------
    uri : str or path
        A file such as ``photos.h2q``, or a server's address (`h2q.open_collection`).
    encoder : str, optional
        Of a new collection: ``efficientnet-lite0`` (default), ``onnx:FILE`` or ``timm:NAME``. Of
        an existing one: where its encoder is now, if not where it was.
    model : path, optional
        A trained model (`h2q train`) instead of an encoder.
    n_bits : int, optional
        Length of a code of a new collection; 64 by default.
    keep : str, optional
        What a new collection keeps of each row beside its code.
    device : str
        Where a network of torch runs.
    mode : {"a", "r"}
        "r" only reads.

    Returns
    -------
    Photos

    Raises
    ------
    CollectionError
        If there is something else at that address, or with mode="r" nothing.

    Examples
    --------
    >>> import h2q
    >>> photos = h2q.open_photos("photos.h2q")                  # doctest: +SKIP
    >>> photos.index("~/Pictures")                              # doctest: +SKIP
    >>> photos.search("cat.jpg", k=10)                          # doctest: +SKIP
    >>> photos.duplicates()                                     # doctest: +SKIP
    """
    uri = path_text(uri, "the address of the collection")
    photos = Photos(
        uri, encoder=encoder, model=model, n_bits=n_bits, keep=keep, device=device, mode=mode
    )
    if mode == "r" or ("://" not in str(uri) and exists(str(uri))):
        photos.collection  # noqa: B018 - what is wrong is said now, not at the first search
    return photos


class Photos(Closing):
    """Photos that can be searched; made by `open_photos`.

    Attributes
    ----------
    uri : str
        Where the collection is.
    """

    def __init__(
        self,
        uri: str,
        *,
        encoder: str | None,
        model: StrPath | None,
        n_bits: int | None,
        keep: Keep | None,
        device: str,
        mode: Literal["a", "r"],
    ) -> None:
        self.uri = uri
        self._encoder, self._model, self._device = encoder, model, device
        self._n_bits, self._keep, self._mode = n_bits, keep, mode
        self._collection: Collection | None = None
        self._searcher: Searcher | None = None

    @property
    def collection(self) -> Collection:
        """What it is underneath (`h2q.open_collection`).

        Raises
        ------
        InvalidInputError
            If nothing has been indexed yet.
        """
        if self._collection is None:
            if "://" not in self.uri and not exists(self.uri) and self._mode == "a":
                raise InvalidInputError(f"{self.uri}: nothing is indexed yet; call index(folder)")
            local = "://" not in self.uri
            self._collection = open_collection(
                self.uri,
                mode=self._mode,
                n_bits=self._n_bits if local else None,
                keep=self._keep if local else None,
            )
        return self._collection

    def index(
        self,
        folder: StrPath,
        *,
        prefix: str = "",
        prune: bool = False,
        gps: bool = False,
        random_state: int = 0,
        on_progress: OnProgress = no_progress,
        on_note: Callable[[str], None] = lambda text: None,
    ) -> IndexReport:
        """Bring the collection up to date with a folder of photos (`h2q.ingest.index_photos`).

        Parameters
        ----------
        folder : path
            Read with all its subfolders.
        prefix : str
            Goes before every id; keeps several folders apart.
        prune : bool
            Remove the photos of this folder that are gone.
        gps : bool
            Whether to keep where photos were taken.
        random_state : int
            Of the rotation of a new collection.
        on_progress : callable
            Told how many photos of how many are done.
        on_note : callable
            Told what was decided, in words.

        Returns
        -------
        IndexReport
            Counts, and every file that was skipped, with the reason.
        """
        if self._mode == "r":
            raise InvalidInputError(
                f"{self.uri} was opened for reading only; open it with mode='a'"
            )
        self.close()
        return index_photos(
            folder,
            self.uri,
            encoder=self._encoder,
            model=self._model,
            n_bits=self._n_bits,
            keep=self._keep,
            device=self._device,
            prefix=prefix,
            prune=prune,
            gps=gps,
            random_state=random_state,
            on_progress=on_progress,
            on_note=on_note,
        )

    def search(
        self,
        like: Wanted | Sequence[Wanted] | None = None,
        *,
        text: str | None = None,
        unlike: Wanted | Sequence[Wanted] | None = None,
        k: int | None = None,
        radius: int | None = None,
        where: Where | None = None,
        distinct: bool = False,
    ) -> list[Hit]:
        """Find the photos that are like a photo, several, or words.

        Parameters
        ----------
        like : path, picture, id, or a sequence of these
            Several count together.
        text : str, optional
            Words, where the encoder understands them.
        unlike : like `like`
            What the results should not be like.
        k : int, optional
            Photos at most: 10, or all within the radius.
        radius : int, optional
            Only photos whose code is within so many bits.
        where : mapping, optional
            Conditions on the payload, such as ``{"taken": {"$gte": "2024-06"}}``.
        distinct : bool
            Leave out near-duplicates of better results.

        Returns
        -------
        list of Hit
            Best first: `id`, `distance` in bits, `score`, `payload`, `path`.

        Raises
        ------
        ImageError, InvalidInputError
            If a photo cannot be read, or nothing is asked for.
        """
        return self.found(
            like, text=text, unlike=unlike, k=k, radius=radius, where=where, distinct=distinct
        ).hits

    def found(
        self,
        like: Wanted | Sequence[Wanted] | None = None,
        *,
        text: str | None = None,
        unlike: Wanted | Sequence[Wanted] | None = None,
        k: int | None = None,
        radius: int | None = None,
        where: Where | None = None,
        distinct: bool = False,
    ) -> Result:
        """Search as `search` does; the result can be shown (`h2q.searching.draw_sheet`)."""
        searcher = self._open_searcher()
        queries = [searcher.any_of(each) for each in _several(like)]
        queries += [] if text is None else [searcher.text(text)]
        query = searcher.combined(queries, [searcher.any_of(each) for each in _several(unlike)])
        (result,) = searcher.search([query], k=k, radius=radius, where=where, distinct=distinct)
        hint = "" if result.hits else unmet(searcher.collection, where)
        if hint:
            warnings.warn(hint, stacklevel=3)
        return result

    def duplicates(self, **options: Any) -> Any:
        """Find the photos that are there more than once (`h2q.duplicates`)."""
        from h2q.duplicates import find_duplicates

        return find_duplicates(self.collection, **options)

    def delete(self, ids: Iterable[Id]) -> int:
        """Take photos out of the collection, not off the disk; return how many were in it."""
        if self._mode == "r":
            raise InvalidInputError(
                f"{self.uri} was opened for reading only; open it with mode='a'"
            )
        given: Any = ids
        return self.collection.delete(given)  # one id alone is refused there, be it a text

    def __len__(self) -> int:
        return len(self.collection) if self._is_there() else 0

    def __contains__(self, item_id: object) -> bool:
        return self._is_there() and item_id in self.collection

    def __repr__(self) -> str:
        try:
            held = f"{len(self):,} photos"
        except (H2QError, OSError) as error:  # gone, damaged, or a server that does not answer
            held = f"cannot be opened ({type(error).__name__})"
        return f"<Photos {without_secrets(self.uri)}: {held}>"

    def close(self) -> None:
        """Release the collection; it is opened again when it is needed."""
        if self._collection is not None:
            self._collection.close()
        self._collection = self._searcher = None

    def _check_writable(self) -> None:
        if self._mode == "r":
            raise InvalidInputError(f"{self.uri} was opened for reading only; use mode='a'")

    def _is_there(self) -> bool:
        return self._collection is not None or "://" in self.uri or Path(self.uri).exists()

    def _open_searcher(self) -> Searcher:
        if self._searcher is None:
            self._searcher = Searcher(
                self.collection, model=self._model, encoder=self._encoder, device=self._device
            )
        return self._searcher


def _several(wanted: Wanted | Sequence[Wanted] | None) -> list[Wanted]:
    if wanted is None:
        return []
    if isinstance(wanted, list | tuple):
        return list(wanted)
    one: Any = wanted
    if isinstance(one, np.ndarray) and one.ndim == 4:  # a batch of pictures
        return list(one)
    return [one]
