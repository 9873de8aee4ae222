"""Searches as the routes ask for them: several queries, what they are not like, an overview."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from h2q._typing import CodeArray
from h2q.codes import check_codes, hamming_distances
from h2q.collections.base import Id, Item
from h2q.collections.http.wire import codes_of_text, id_of
from h2q.collections.inputs import as_queries
from h2q.errors import InvalidInputError
from h2q.ranks import RANKS, choose_rank
from h2q.searching import searcher as searching
from h2q.serving.asking import AskedPhotos
from h2q.serving.newest import NewestCatalog
from h2q.serving.schemas import Query, SearchIn


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


class Searches:
    """Searches of one collection; its methods may be called from many threads.

    Parameters
    ----------
    searcher : Searcher
    asked : AskedPhotos
        Photos that are searched with by their token.
    catalogs : NewestCatalog
        For the histogram and the places.
    """

    def __init__(
        self, searcher: searching.Searcher, asked: AskedPhotos, catalogs: NewestCatalog
    ) -> None:
        self._searcher, self._collection = searcher, searcher.collection
        self._asked, self._catalogs = asked, catalogs

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
        queries = as_queries(asked.row, self._collection.n_bits, self._collection.quantizer)
        rank = RANKS["hamming"]
        if wanted.radius is None:
            decoded = replace(queries, decoder=self._collection.decoder)
            rank = choose_rank(wanted.rank, decoded, self._collection.keep)
        code = queries.codes[0]
        if not wanted.overview:
            return Answer(rank.name, code, hits, None, None, seconds)
        catalog = self._catalogs.last()
        mask = catalog.mask(self._collection, wanted.where)
        histogram = catalog.histogram(code, mask)
        for item_id in asked.own_ids:  # an item is not its own neighbour
            place = catalog.place_of.get(item_id)
            if place is not None and mask[place]:
                own = catalog.codes[place][None, :]
                histogram[int(hamming_distances(code[None, :], own)[0, 0])] -= 1
        return Answer(rank.name, code, hits, histogram, catalog.place_of, seconds)

    def _query(self, query: Query) -> searching.Query:
        given = query.model_dump(exclude_none=True)
        if len(given) != 1:
            raise InvalidInputError("a query is one of key, photo, code, vector and text")
        n_bits = self._collection.n_bits
        if query.key is not None:
            (item,) = self._collection.get([id_of(query.key)])
            if item is None:
                raise InvalidInputError(f"the collection holds no item {query.key[:80]}")
            return searching.Query(query.key, item.code, (), frozenset([item.id]))
        if query.photo is not None:
            return searching.Query("photo", self._asked.get(query.photo).row)
        if query.code is not None:
            code = codes_of_text(query.code, n_bits, "code")
            if len(code) != 1:
                raise InvalidInputError(f"code is one code of {n_bits} bits")
            return searching.Query("code", check_codes(code, n_bits)[0])
        if query.vector is not None:
            row = np.asarray(query.vector, dtype=np.float32)
            as_queries(row, n_bits, self._collection.quantizer)  # refused before it is combined
            return searching.Query("vector", row)
        if self._asked.can_be_asked:
            self._asked.load()
        return self._searcher.text(str(query.text))
