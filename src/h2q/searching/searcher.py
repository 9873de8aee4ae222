"""Search a collection with a photo, embeddings, or one of its own items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from h2q._closing import Closing
from h2q._typing import Array, StrPath
from h2q.collections import open_collection
from h2q.collections.base import Id, Rank, Where
from h2q.errors import InvalidInputError
from h2q.images import read_image
from h2q.ingest.encoder import PhotoEncoder, load_hasher
from h2q.ingest.models import kept_model
from h2q.ingest.photo_files import photo_path
from h2q.rowfiles.embeddings import load_embeddings


@dataclass(frozen=True)
class Query:
    """What is searched for.

    Attributes
    ----------
    name : str
    row : ndarray
        A packed code, or a real row.
    path : Path or None
        Its picture.
    own_id : str or int or None
        Its id, where it is an item of the collection; it is not its own neighbour.
    """

    name: str
    row: Array
    path: Path | None = None
    own_id: Id | None = None


@dataclass(frozen=True)
class Hit:
    """A neighbour."""

    id: Id
    distance: int
    score: float | None
    payload: dict[str, Any] | None


@dataclass(frozen=True)
class Result:
    """A query and its neighbours, best first."""

    query: str
    hits: list[Hit]
    path: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Values that JSON can hold."""
        return {
            "query": self.query,
            "neighbours": [
                {"id": h.id, "distance": h.distance, "score": h.score, "payload": h.payload}
                for h in self.hits
            ],
        }


class Searcher(Closing):
    """A collection, open for reading, and its model, loaded when a photo is asked about.

    Parameters
    ----------
    uri : str
        The collection.
    model : path, optional
        For a collection that keeps none.
    device : str
        Where the network runs.
    """

    def __init__(self, uri: str, *, model: StrPath | None = None, device: str = "auto") -> None:
        self.collection = open_collection(uri, mode="r")
        self._model, self._device = model, device
        self._encoder: PhotoEncoder | None = None

    @property
    def encoder(self) -> PhotoEncoder:
        """The model."""
        if self._encoder is None:
            hasher = load_hasher(self._model) if self._model else kept_model(self.collection)
            self._encoder = PhotoEncoder(hasher, self._device)
        return self._encoder

    def image(self, image: Image.Image, name: str = "image") -> Query:
        """Make a query of a picture, read as `h2q.images.read_image` reads its file."""
        rows = self.encoder.embed([self.encoder.prepare(read_image(image, name=name))])
        # A collection with a quantizer of its own rotates; without one the model's rotation is it.
        if self.collection.quantizer is None:
            rows = self.encoder.rotate(rows)
        return Query(name, rows[0])

    def file(self, path: StrPath, *, key: str | None = None) -> list[Query]:
        """Make queries of a photo, or of each row of a file of embeddings.

        Raises
        ------
        ImageError, FormatError, InvalidInputError
            If the file cannot be read.
        """
        path = Path(path)
        if not path.exists():
            raise InvalidInputError(f"there is no query {path}")
        if path.suffix.lower() not in (".npy", ".npz"):
            query = self.image(read_image(path), str(path))
            return [Query(query.name, query.row, path)]
        embeddings = load_embeddings(path, key=key)
        name = path.name
        return [
            Query(f"{name}[{item_id}]", row)
            for item_id, row in zip(embeddings.ids, embeddings.rows, strict=True)
        ]

    def stored_item(self, item_id: Id) -> list[Query]:
        """Make a query of an item of the collection, by its code.

        Raises
        ------
        InvalidInputError
            If it holds no such item.
        """
        candidates: list[Id] = [item_id]
        if isinstance(item_id, str) and item_id.lstrip("-").isdecimal():
            candidates.append(int(item_id))  # a command line cannot tell 7 from "7"
        for item in self.collection.get(candidates):
            if item is not None:
                return [Query(str(item.id), item.code, photo_path(item.payload), item.id)]
        raise InvalidInputError(f"the collection {self.collection.uri} holds no item {item_id!r}")

    def search(
        self,
        queries: Sequence[Query],
        *,
        k: int = 10,
        radius: int | None = None,
        where: Where | None = None,
        rank: Rank | None = None,
        oversample: int | None = None,
    ) -> list[Result]:
        """Find the neighbours of each query.

        Parameters
        ----------
        queries : sequence of Query
        k : int
            Neighbours; ignored with a radius.
        radius : int, optional
            All items within so many bits, inclusive.
        where : mapping, optional
            Only items whose payload meets this (`h2q.collections.filters`).
        rank, oversample : optional
            As `h2q.collections.Collection.search` takes them.
        """
        import numpy as np

        if not queries:
            return []
        rows = np.stack([query.row for query in queries])
        spare = any(query.own_id is not None for query in queries)
        if radius is not None:
            found = self.collection.within(rows, radius, where=where)
        else:
            found = self.collection.search(
                rows, k + spare, where=where, rank=rank, oversample=oversample
            )
        results = []
        for place, query in enumerate(queries):
            scores = None if found.scores is None else found.scores[place]
            ids = found.ids[place]
            items = self.collection.get(ids)
            hits = [
                Hit(
                    item_id,
                    int(found.distances[place][i]),
                    None if scores is None else float(scores[i]),
                    item.payload if item is not None else None,
                )
                for i, (item_id, item) in enumerate(zip(ids, items, strict=True))
                if item_id != query.own_id
            ]
            results.append(Result(query.name, hits if radius is not None else hits[:k], query.path))
        return results

    def close(self) -> None:
        """Release the collection."""
        self.collection.close()
