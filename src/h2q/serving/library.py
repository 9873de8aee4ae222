"""The collection a server serves, with all that is derived of it while it runs."""

from __future__ import annotations

import hashlib
import multiprocessing
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from h2q._closing import Closing
from h2q._typing import Array, CodeArray
from h2q.codes import check_codes, pack, unpack
from h2q.collections.base import Collection, Id, Item, Payload
from h2q.collections.http.wire import codes_of_text, id_of, key_of
from h2q.collections.inputs import as_queries
from h2q.encoders import TextEncoder
from h2q.errors import CollectionError, InvalidInputError
from h2q.ingest.encoder import CodedEncoder, Encoder
from h2q.ranks import RANKS, Queries, choose_rank
from h2q.searching import searcher as searching
from h2q.serving.batching import Batcher
from h2q.serving.catalog import Catalog
from h2q.serving.mapping import Method, coordinates, methods
from h2q.serving.newest import NewestCatalog
from h2q.serving.photos import THUMBNAIL, PhotoStore, stamp_of, webp_of
from h2q.serving.reviewing import Review
from h2q.serving.schemas import InfoOut, Query, RankOut, SearchIn, StatsOut
from h2q.serving.settings import Settings
from h2q.serving.side_file import Asked, SideFile, side_file_of
from h2q.serving.telemetry import LOGGER, Metrics
from h2q.serving.uploads import Uploads

if TYPE_CHECKING:
    from h2q.duplicates import Duplicates


@dataclass(frozen=True)
class Hit:
    """A neighbour: an item, its distance in bits, its score by the rank."""

    item: Item
    distance: int
    score: float | None


@dataclass(frozen=True)
class Answer:
    """What a search found.

    Attributes
    ----------
    rank : str
        By which the hits are ordered.
    code : ndarray of shape (ceil(n_bits / 8),), uint8
        Of the query.
    hits : list of Hit
    histogram : list of int or None
        Items at each distance from the query's code, 0 to n_bits, where it was asked for.
    places : mapping of id to int or None
        Of all items, where they were asked for.
    seconds : float
        That the collection took.
    """

    rank: str
    code: CodeArray
    hits: list[Hit]
    histogram: list[int] | None
    places: Mapping[Id, int] | None
    seconds: float


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
        self._encoder: Encoder | None = None
        self._embed: Batcher[Any, NDArray[np.float32]] | None = None
        self._encoder_lock = threading.Lock()
        self._catalogs = NewestCatalog(collection)
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="h2q-derive")
        self._photos: PhotoStore | None = None
        self._maps = _Maps(self.side_file)
        self._searcher = searching.Searcher(collection)
        self.review = Review(collection)
        self.uploads = Uploads(settings.max_body)

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

    # Photos asked about

    @property
    def encodes_photos(self) -> bool:
        """Whether the collection says with what photos are encoded."""
        return self._encoder is not None or "model" in self.collection.fingerprints

    @property
    def _inner_encoder(self) -> Any:
        encoder = self._encoder
        return encoder.encoder if isinstance(encoder, CodedEncoder) else encoder

    @property
    def _encoder_name(self) -> str | None:
        if self._encoder is None:
            return None
        return str(getattr(self._inner_encoder, "name", "a trained model"))

    @property
    def _understands_words(self) -> bool:
        """Whether the encoder, once it is loaded, has a network of texts."""
        inner = self._inner_encoder
        return isinstance(inner, TextEncoder) and getattr(inner, "text", inner) is not None

    def warm_up(self) -> None:
        """Load the encoder in the background, once the items have been looked at."""
        if self.encodes_photos:
            self._threads.submit(self._warm_up)

    def _warm_up(self) -> None:
        self._catalogs.first()
        self._load_encoder()

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
        known = self.side_file.asked(token)
        if known is not None:
            return known
        image = self.photos.read_upload(data)
        asked = Asked(token, self.embed(image), webp_of(image, THUMBNAIL))
        self.side_file.keep_asked(asked)
        return asked

    def asked(self, token: str) -> Asked:
        """Return a photo by its token.

        Raises
        ------
        InvalidInputError
            If it is not kept.
        """
        known = self.side_file.asked(token)
        if known is None:
            raise InvalidInputError("this photo is no longer kept by the server; give it again")
        return known

    def embed(self, image: Image.Image) -> NDArray[np.float32]:
        """Return a photo's row as the collection takes real queries; batched with others."""
        encoder, embed = self._load_encoder()
        return embed(encoder.prepare(image))

    def code_of(self, row: NDArray[np.float32]) -> CodeArray:
        """Return the code of a photo's row, shape (ceil(n_bits / 8),)."""
        rows = row[None, :]
        if self.collection.quantizer is not None:
            quantizer: Any = self.collection.quantizer
            coded: CodeArray = quantizer.transform(rows)[0]  # not signs of rows for every one
            return coded
        code: CodeArray = pack(rows)[0]
        return code

    def _load_encoder(self) -> tuple[Encoder, Batcher[Any, NDArray[np.float32]]]:
        with self._encoder_lock:
            if self._encoder is None or self._embed is None:
                encoder = self._searcher.encoder
                rotates = self.collection.quantizer is None

                def rows(prepared: list[Any]) -> Sequence[NDArray[np.float32]]:
                    found = encoder.embed(prepared)
                    return list(encoder.rotate(found) if rotates else found)

                self._encoder = encoder
                self._embed = Batcher(rows, self.metrics.batches.observe)
            return self._encoder, self._embed

    # Searching

    def search(self, wanted: SearchIn) -> Answer:
        """Find what is like the queries, and unlike those in `without`.

        Raises
        ------
        InvalidInputError
            If a query names no item or photo, or the collection cannot rank so.
        """
        asked = self._searcher.combined(
            [self._query(query) for query in wanted.queries],
            [self._query(query) for query in wanted.without],
        )
        began = time.perf_counter()
        (found,) = self._searcher.search(
            [asked],
            k=wanted.k,
            radius=wanted.radius,
            where=wanted.where,
            rank=wanted.rank,
            oversample=wanted.oversample,
            distinct=False if wanted.distinct is None else wanted.distinct,
        )
        seconds = time.perf_counter() - began
        hits = [
            Hit(Item(hit.id, hit.code, hit.payload), hit.distance, hit.score)
            for hit in found.hits
            if hit.code is not None
        ]
        queries = as_queries(asked.row, self.collection.n_bits, self.collection.quantizer)
        rank = RANKS["hamming"]
        if wanted.radius is None:
            decoded = replace(queries, decoder=self.collection.decoder)
            rank = choose_rank(wanted.rank, decoded, self.collection.keep)
        code = queries.codes[0]
        if not wanted.overview:
            return Answer(rank.name, code, hits, None, None, seconds)
        catalog = self._catalogs.last()
        histogram = catalog.histogram(code, catalog.mask(self.collection, wanted.where))
        return Answer(rank.name, code, hits, histogram, catalog.place_of, seconds)

    def _query(self, query: Query) -> searching.Query:
        given = query.model_dump(exclude_none=True)
        if len(given) != 1:
            raise InvalidInputError("a query is one of key, photo, code, vector and text")
        n_bits = self.collection.n_bits
        if query.key is not None:
            item = self.item(id_of(query.key))
            if item is None:
                raise InvalidInputError(f"the collection holds no item {query.key[:80]}")
            return searching.Query(query.key, item.code, (), frozenset([item.id]))
        if query.photo is not None:
            return searching.Query("photo", self.asked(query.photo).row)
        if query.code is not None:
            code = codes_of_text(query.code, n_bits, "code")
            if len(code) != 1:
                raise InvalidInputError(f"code is one code of {n_bits} bits")
            return searching.Query("code", check_codes(code, n_bits)[0])
        if query.vector is not None:
            row = np.asarray(query.vector, dtype=np.float32)
            as_queries(row, n_bits, self.collection.quantizer)  # refused before it is combined
            return searching.Query("vector", row)
        if self.encodes_photos:
            self._load_encoder()
        return self._searcher.text(str(query.text))

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
        self.add([item_id], None, [facts], self.embed(image)[None, :])
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
            encoder=self._encoder_name,
            photos=self.encodes_photos,
            texts=self._understands_words,
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
        from h2q.evaluation import code_statistics  # takes a while to load, and few ask

        catalog = self.catalog()
        n_bits = catalog.n_bits
        if len(catalog) < 2:
            return StatsOut(statistics={}, balance=[], histogram=[], search_milliseconds=None)
        rng = np.random.default_rng(0)
        facts = code_statistics(catalog.codes, n_bits).to_dict()
        ones = np.zeros(n_bits)
        for start in range(0, len(catalog), 1 << 15):
            ones += unpack(catalog.codes[start : start + (1 << 15)], n_bits).sum(axis=0)
        pairs = rng.integers(0, len(catalog), (2, 200_000))
        pairs = pairs[:, pairs[0] != pairs[1]]
        differing = np.bitwise_count(catalog.codes[pairs[0]] ^ catalog.codes[pairs[1]])
        distances = differing.sum(axis=1, dtype=np.int64)
        seconds = []
        for place in rng.integers(0, len(catalog), 15).tolist():
            began = time.perf_counter()
            self.collection.search(catalog.codes[place], 10)
            seconds.append(time.perf_counter() - began)
        return StatsOut(
            statistics={name: _finite(value) for name, value in facts.items()},
            balance=[float(share) for share in ones / len(catalog)],
            histogram=[int(n) for n in np.bincount(distances, minlength=n_bits + 1)],
            search_milliseconds=float(np.median(seconds)) * 1e3,
        )

    # The map

    def map(self, method: Method) -> tuple[Catalog, NDArray[np.float32] | None]:
        """Return the places of all items; None while they are being found in the background."""
        if method not in methods():
            raise InvalidInputError(
                "openTSNE is not installed; pip install 'h2q[map]', or use tsne"
            )
        catalog = self.catalog()
        return catalog, self._maps.places(catalog, method)

    def duplicates(self) -> Duplicates | None:
        """Return groups of duplicates; None while they are being found in the background."""
        return self.review.found(self.catalog().stamp)

    def close(self) -> None:
        """Finish what is being embedded, give up what is derived, release the side file."""
        if self._embed is not None:
            self._embed.close()
        self._maps.close()
        self.review.close()
        self._catalogs.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.side_file.close()


class _Maps(Closing):
    """Coordinates by method and stamp: kept, at once, or in a process of their own."""

    def __init__(self, side_file: SideFile) -> None:
        self._side_file = side_file
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._running: dict[tuple[Method, str], Future[NDArray[np.float32]]] = {}

    def places(self, catalog: Catalog, method: Method) -> NDArray[np.float32] | None:
        kept = self._side_file.places(method, catalog.stamp)
        if kept is not None and len(kept) == len(catalog):
            return kept
        if method == "pca":
            found = coordinates(catalog.codes, catalog.n_bits, "pca")
            self._side_file.keep_places("pca", catalog.stamp, found)
            return found
        with self._lock:
            name = (method, catalog.stamp)
            running = self._running.get(name)
            if running is None:
                for older in self._running.values():
                    older.cancel()
                self._running = {}
                if self._pool is None:
                    # Another process: t-SNE holds the interpreter for long.
                    context = multiprocessing.get_context("spawn")
                    self._pool = ProcessPoolExecutor(1, mp_context=context)
                running = self._pool.submit(coordinates, catalog.codes, catalog.n_bits, method)
                self._running[name] = running
        if not running.done():
            return None
        try:
            found = running.result()
        except Exception as error:
            LOGGER.exception("the map could not be made")
            with self._lock:
                self._running.pop(name, None)
            raise CollectionError(f"the map could not be made: {error}") from error
        self._side_file.keep_places(method, catalog.stamp, found)
        return found

    def close(self) -> None:
        with self._lock:
            if self._pool is not None:
                for process in list((self._pool._processes or {}).values()):
                    process.terminate()  # what it computes saves time alone
                self._pool.shutdown(wait=True, cancel_futures=True)


def roots_of(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the folders named, resolved.

    Raises
    ------
    InvalidInputError
        If one is no folder.
    """
    for path in paths:
        if not path.is_dir():
            raise InvalidInputError(f"the root {path} is no folder")
    return tuple(path.resolve() for path in paths)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
