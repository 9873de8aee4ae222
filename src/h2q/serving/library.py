"""The collection a server serves, with all that is derived of it while it runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from h2q._closing import Closing
from h2q._typing import Array
from h2q.codes import pack
from h2q.collections.base import Collection, Id, Item, Payload
from h2q.collections.http.wire import key_of
from h2q.errors import InvalidInputError
from h2q.ranks import RANKS, Queries, choose_rank
from h2q.searching.searcher import Searcher
from h2q.serving.asking import AskedPhotos
from h2q.serving.catalog import Catalog
from h2q.serving.mapping import Method, methods
from h2q.serving.maps import Maps
from h2q.serving.newest import NewestCatalog
from h2q.serving.photos import THUMBNAIL, PhotoStore, stamp_of, webp_of
from h2q.serving.reviewing import Review
from h2q.serving.schemas import InfoOut, RankOut, StatsOut
from h2q.serving.searches import Searches
from h2q.serving.settings import Settings
from h2q.serving.side_file import SideFile, side_file_of
from h2q.serving.statistics import statistics_of
from h2q.serving.telemetry import Metrics
from h2q.serving.uploads import Uploads

if TYPE_CHECKING:
    from h2q.duplicates import Duplicates


class Library(Closing):
    """What the routes ask; its methods may be called from many threads.

    Parameters
    ----------
    collection : Collection
        Stays the caller's to close.
    settings : Settings
    metrics : Metrics
    side_file : SideFile, optional
        For thumbnails and the map; by default the one of the collection.
    """

    def __init__(
        self,
        collection: Collection,
        settings: Settings,
        metrics: Metrics,
        side_file: SideFile | None = None,
    ) -> None:
        self.collection, self.settings, self.metrics = collection, settings, metrics
        self.side_file = side_file or side_file_of(collection.uri)
        self._catalogs = NewestCatalog(collection)
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="h2q-derive")
        self._photos: PhotoStore | None = None
        self._maps = Maps(self.side_file)
        searcher = Searcher(collection)
        self.asked = AskedPhotos(
            searcher, lambda: self.photos, self.side_file, metrics.batches.observe
        )
        self.searches = Searches(searcher, self.asked, self._catalogs)
        self.review = Review(collection)
        self.uploads = Uploads(settings.max_body)

    def warm_up(self) -> None:
        """Load the encoder in the background, once the items have been looked at."""
        if self.asked.can_be_asked:
            self._threads.submit(self._warm_up)

    def _warm_up(self) -> None:
        self._catalogs.first()
        self.asked.load()

    # What is there

    def catalog(self) -> Catalog:
        """Return the items by place, as they are or were some seconds ago."""
        return self._catalogs.get()

    @property
    def ready(self) -> bool:
        """Whether all items have been looked at once."""
        return self._catalogs.is_there

    @property
    def photos(self) -> PhotoStore:
        """Photos below the roots: those given, or the folders held when the server started."""
        if self._photos is None:
            roots = self.settings.roots
            self._photos = PhotoStore(
                self._catalogs.first().folders if roots is None else roots,
                self.side_file,
                self.settings.max_pixels,
            )
        return self._photos

    def item(self, item_id: Id) -> Item | None:
        """Return an item, None where the collection holds none of this id."""
        found: Item | None = self.collection.get([item_id])[0]
        return found

    # Changing

    def add(
        self,
        ids: Sequence[Id],
        codes: Array | None,
        payloads: Sequence[Payload | None] | None,
        embeddings: Array | None = None,
    ) -> None:
        """Add items by their codes, by rows that the collection codes, or by both.

        The parameters are those of `h2q.collections.Collection.add`.

        Durable on return.

        Raises
        ------
        InvalidInputError
            If one cannot be stored, or names a photo outside the roots; nothing is added then.
        """
        for payload in payloads or ():
            if not self.photos.allows(payload):
                raise InvalidInputError(
                    "a payload names a photo (folder, path) outside the folders this server shows; "
                    "start it with --root FOLDER, or leave folder out"
                )
        self.collection.add(ids, codes, payloads, embeddings=embeddings)
        self._catalogs.changed()
        self.metrics.added.inc(len(ids))

    def add_photo(self, item_id: Id, data: bytes, payload: Payload | None) -> None:
        """Add a photo by its bytes; its code and its digest are kept, the photo is not.

        Raises
        ------
        ImageError, InvalidInputError
            If it is no photo, or cannot be stored.
        """
        image = self.photos.read_upload(data)
        facts = {
            **(payload or {}),
            "sha256": hashlib.sha256(data).hexdigest(),
            "width": image.width,
            "height": image.height,
        }
        self.add([item_id], None, [facts], self.asked.embed(image)[None, :])
        self.side_file.keep_thumbnail(key_of(item_id), stamp_of(facts), webp_of(image, THUMBNAIL))

    def delete(self, ids: Sequence[Id]) -> int:
        """Delete items; return how many were held."""
        count: int = self.collection.delete(ids)
        self._catalogs.changed()
        self.metrics.deleted.inc(count)
        return count

    # About it

    def info(self) -> InfoOut:
        """Return what the collection is."""
        facts = self.collection.info()
        return InfoOut(
            name=facts.uri.rpartition("/")[2].partition("?")[0],
            engine=facts.engine,
            n_bits=facts.n_bits,
            count=facts.count,
            size_bytes=facts.size_bytes,
            bit_order=facts.bit_order,
            keep=facts.keep,
            index=facts.index,
            created_by=facts.created_by,
            format_version=facts.format_version,
            revision=self.collection.revision(),
            fingerprints=facts.fingerprints,
            ranks=[RankOut(name=name, text=text) for name, text in self._ranks()],
            encoder=self.asked.encoder_name,
            photos=self.asked.can_be_asked,
            texts=self.asked.understands_words,
            maps=[str(name) for name in methods()],
            writable=not self.settings.read_only,
            roots=len(self.photos.roots),
        )

    def _ranks(self) -> list[tuple[str, str]]:
        collection = self.collection
        row = np.ones((1, collection.n_bits), dtype=np.float32)
        queries = Queries(pack(row), row, collection.decoder, collection.quantizer, row)
        able = []
        for rank in RANKS.values():
            try:
                choose_rank(rank.name, queries, collection.keep)
            except InvalidInputError:
                continue
            able.append((rank.name, rank.orders_by))
        return able

    def stats(self) -> StatsOut:
        """Return what the codes look like, and what one search costs."""
        return statistics_of(self.collection, self.catalog())

    # The map

    def map(self, method: Method) -> tuple[Catalog, NDArray[np.float32] | None]:
        """Return the places of all items; None while they are being found in the background."""
        catalog = self.catalog()
        return catalog, self._maps.places(catalog, method)

    def duplicates(self) -> Duplicates | None:
        """Return groups of duplicates; None while they are being found in the background."""
        return self.review.found(self.catalog().stamp)

    def close(self) -> None:
        """Finish what is being embedded, give up what is derived, release the side file."""
        self.asked.close()
        self._maps.close()
        self.review.close()
        self._catalogs.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.side_file.close()
