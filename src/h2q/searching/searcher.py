"""Search a collection with photos, words, embeddings, or its own items."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from h2q._closing import Closing
from h2q._numbers import whole_number
from h2q._paths import as_path, path_text
from h2q._typing import Array, CodeArray, StrPath
from h2q.codes import hamming_distances, unpack_signs
from h2q.collections import open_collection
from h2q.collections.artifacts import fingerprint
from h2q.collections.base import Collection, Id, Rank, Where
from h2q.encoders import TextEncoder
from h2q.errors import CompatibilityError, ImageError, InvalidInputError
from h2q.images import read_photo
from h2q.ingest.encoder import CodedEncoder, Encoder, PhotoEncoder, load_hasher, model_file
from h2q.ingest.models import kept_encoder
from h2q.ingest.photo_files import photo_path, readable
from h2q.ingest.storing import check_width
from h2q.rowfiles import open_rows
from h2q.rowfiles.registry import SUFFIXES

#: A text that may mean a number.
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")
#: Neighbours where nothing else is said.
DEFAULT_K: Final = 10
#: How strongly "not like this" counts beside "like this".
_AGAINST: Final = 0.5
#: Results as near to a better one as this share of the bits are near-duplicates of it.
_NEAR: Final = 1 / 16
#: Hits looked through at most for distinct ones.
_LOOKED_THROUGH: Final = 100_000


@dataclass(frozen=True)
class Query:
    """What is searched for.

    Attributes
    ----------
    name : str
    row : ndarray
        A packed code, or a real row.
    paths : tuple of Path
        Its pictures, those that it is like.
    own_ids : frozenset of str or int
        Items of the collection that it was made of; they are not their own neighbours.
    """

    name: str
    row: Array
    paths: tuple[Path, ...] = ()
    own_ids: frozenset[Id] = frozenset()


@dataclass(frozen=True)
class Hit:
    """A neighbour.

    Attributes
    ----------
    id : str or int
    distance : int
        Hamming distance in bits.
    score : float or None
        By the rank (`h2q.collections.base.Neighbours`); None where codes were compared.
    payload : dict or None
    code : ndarray of shape (ceil(n_bits / 8),), uint8, or None
        None where the item has been deleted since.
    """

    id: Id
    distance: int
    score: float | None
    payload: dict[str, Any] | None
    code: CodeArray | None = field(default=None, repr=False, compare=False)

    @property
    def path(self) -> Path | None:
        """Its photo, where it came from one."""
        return photo_path(self.payload)


@dataclass(frozen=True)
class Result:
    """A query and its neighbours, best first."""

    query: str
    hits: list[Hit]
    paths: tuple[Path, ...] = field(default=())

    @property
    def path(self) -> Path | None:
        """The query's picture, the first of them."""
        return self.paths[0] if self.paths else None

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
    """A collection and its model or encoder, which is loaded when a photo is asked about.

    Parameters
    ----------
    uri : str or Collection
        The collection; an address is opened for reading, and closed in the end.
    model : path, optional
        For a collection that keeps none.
    encoder : str, optional
        Where the collection's encoder is now, if not where it was.
    device : str
        Where the network runs.
    """

    def __init__(
        self,
        uri: str | Collection,
        *,
        model: StrPath | None = None,
        encoder: str | None = None,
        device: str = "auto",
    ) -> None:
        self._owns = isinstance(uri, str)
        self.collection = open_collection(uri, mode="r") if isinstance(uri, str) else uri
        self._model, self._encoder_name, self._device = model, encoder, device
        self._encoder: Encoder | None = None

    @property
    def encoder(self) -> Encoder:
        """What turns photos into codes."""
        if self._encoder is None:
            if self._model:
                _check_model(self.collection, self._model)
                self._encoder = PhotoEncoder(load_hasher(self._model), self._device)
            else:
                self._encoder = kept_encoder(
                    self.collection, encoder=self._encoder_name, device=self._device
                )
        return self._encoder

    # ------------------------------------------------------------------ queries

    def image(self, image: Image.Image | NDArray[Any], name: str = "image") -> Query:
        """Make a query of a picture that is open: it gives what its file would."""
        return Query(name, self._row(image, name))

    def file(self, path: StrPath, *, key: str | None = None) -> list[Query]:
        """Make queries of a photo, or of each row of a file of embeddings or codes.

        Raises
        ------
        ImageError, FormatError, InvalidInputError
            If the file cannot be read.
        """
        path = as_path(path, "the query")
        if not path.exists():
            raise InvalidInputError(
                f"there is no query {readable(str(path))}; give a photo, a file of embeddings or "
                "the id of an item"
            )
        if not path.name.lower().endswith(SUFFIXES):
            if key is not None:
                raise InvalidInputError(f"{path} is a photo; leave the key out (--key)")
            name = readable(str(path))
            return [Query(name, self._row(path, name), (path,))]
        file = open_rows(path, key=key)
        if file.count == 0:
            raise InvalidInputError(f"{path} holds no rows, so there is nothing to search for")
        rows = file.read(0, file.count)
        if file.kind == "embeddings":
            whose = f"the quantizer of {self.collection.uri}"
            check_width(self.collection.quantizer, file.width, str(path), whose)
        return [
            Query(f"{path.name}[{item_id}]", row)
            for item_id, row in zip(rows.ids or [], rows.values, strict=True)
        ]

    def stored_item(self, item_id: Id) -> list[Query]:
        """Make a query of an item of the collection, by its code.

        Raises
        ------
        InvalidInputError
            If it holds no such item.
        """
        for item in self.collection.get(readings_of(item_id)):
            if item is not None:
                path = photo_path(item.payload)
                paths = () if path is None else (path,)
                return [Query(str(item.id), item.code, paths, frozenset([item.id]))]
        raise InvalidInputError(
            f"the collection {self.collection.uri} holds no item {_shown(item_id)}"
        )

    def text(self, text: str) -> Query:
        """Make a query of words, where the encoder understands them.

        Raises
        ------
        InvalidInputError
            If it does not.
        """
        coder = self.encoder
        inner = coder.encoder if isinstance(coder, CodedEncoder) else coder
        if not isinstance(inner, TextEncoder):
            raise InvalidInputError(
                f"the collection {self.collection.uri} was made with a model of photos alone; to "
                "search by text, make it with a pair of networks: --encoder onnx:FILE"
            )
        return Query(f"“{text}”", inner.embed_texts([text])[0])

    def any_of(self, wanted: StrPath | Image.Image | NDArray[Any] | int | Query) -> Query:
        """Make one query of what people have at hand: a photo's path, a picture, an item's id."""
        if isinstance(wanted, Query):
            return wanted
        if isinstance(wanted, Image.Image) or (isinstance(wanted, np.ndarray) and wanted.ndim > 1):
            return self.image(wanted)
        if isinstance(wanted, np.ndarray):
            return Query("row", wanted)
        if not isinstance(wanted, int):
            wanted = path_text(wanted, "a photo that is no picture")
        if not isinstance(wanted, int) and Path(wanted).is_file():
            found = self.file(wanted)
            if len(found) != 1:
                raise InvalidInputError(f"{wanted}: {len(found)} rows; give one query at a time")
            return found[0]
        item_id: Id = wanted if isinstance(wanted, int) else str(wanted)
        if any(item is not None for item in self.collection.get(readings_of(item_id))):
            return self.stored_item(item_id)[0]
        a_photo = "a photo"
        if not isinstance(wanted, int):
            a_photo += " (it is a folder)" if Path(wanted).is_dir() else " (there is no such file)"
        raise InvalidInputError(
            f"{readable(str(wanted))}: neither {a_photo} nor the id of an item of "
            f"{self.collection.uri}"
        )

    def combined(self, like: Sequence[Query], unlike: Sequence[Query] = ()) -> Query:
        """Make one query of several: their mean, away from what it should not be like.

        Each counts alike, as its rotated row of length sqrt(k); what is unlike counts half.

        Parameters
        ----------
        like : sequence of Query
            At least one.
        unlike : sequence of Query

        Raises
        ------
        InvalidInputError
            If nothing is left: the two are the same.
        """
        if not like:
            raise InvalidInputError("give at least one photo that the results should be like")
        if len(like) == 1 and not unlike:
            return like[0]
        z = np.mean([self._rotated(query.row) for query in like], axis=0)
        if unlike:
            z = z - _AGAINST * np.mean([self._rotated(query.row) for query in unlike], axis=0)
        if np.linalg.norm(z) < 1e-3 * np.sqrt(len(z)):
            raise InvalidInputError("nothing is left of the query: both sides are the same")
        name = " + ".join(query.name for query in like)
        name += "".join(f" - {query.name}" for query in unlike)
        paths = tuple(path for query in like for path in query.paths)
        own = frozenset(item_id for query in (*like, *unlike) for item_id in query.own_ids)
        return Query(name, self._unrotated(z.astype(np.float32)), paths, own)

    # ------------------------------------------------------------------ searching

    def search(
        self,
        queries: Sequence[Query],
        *,
        k: int | None = None,
        radius: int | None = None,
        where: Where | None = None,
        rank: Rank | None = None,
        oversample: int | None = None,
        distinct: bool | int = False,
    ) -> list[Result]:
        """Find the neighbours of each query.

        Parameters
        ----------
        queries : sequence of Query
        k : int, optional
            Neighbours at most; 10 by default, all with a radius.
        radius : int, optional
            Items within so many bits, inclusive.
        where : mapping, optional
            Only items whose payload meets this (`h2q.collections.filters`).
        rank, oversample : optional
            As `h2q.collections.Collection.search` takes them.
        distinct : bool or int
            Leave out what is nearly the same as a better result: of the same content, or with a
            code within so many bits; True: within a sixteenth of them.
        """
        k = None if k is None else whole_number(k, "k")
        if not isinstance(distinct, bool):
            distinct = whole_number(distinct, "distinct", least=0)
        return [
            self._search_one(query, k, radius, where, rank, oversample, distinct)
            for query in queries
        ]

    def close(self) -> None:
        """Release the collection."""
        if self._owns:
            self.collection.close()

    def _search_one(
        self,
        query: Query,
        k: int | None,
        radius: int | None,
        where: Where | None,
        rank: Rank | None,
        oversample: int | None,
        distinct: bool | int,
    ) -> Result:
        rows = np.asarray(query.row)[None, :]
        if k is None and radius is None:
            k = DEFAULT_K
        asked = None if k is None else k + len(query.own_ids)
        while True:
            if radius is not None:
                found = self.collection.within(rows, radius, where=where)
            else:
                asked = DEFAULT_K if asked is None else asked
                found = self.collection.search(
                    rows, asked, where=where, rank=rank, oversample=oversample
                )
            ids, scores = found.ids[0], None if found.scores is None else found.scores[0]
            places = [i for i, item_id in enumerate(ids) if item_id not in query.own_ids]
            if distinct is not False:
                near = int(self.collection.n_bits * _NEAR) if distinct is True else distinct
                places = self._distinct([ids[i] for i in places], places, k, near)
            elif k is not None:
                places = places[:k]
            enough = k is None or len(places) >= k or radius is not None
            if enough or asked is None or len(ids) < asked or asked >= _LOOKED_THROUGH:
                break
            asked *= 4
        items = self.collection.get([ids[i] for i in places])
        hits = [
            Hit(
                ids[i],
                int(found.distances[0][i]),
                None if scores is None else float(scores[i]),
                item.payload if item is not None else None,
                item.code if item is not None else None,
            )
            for i, item in zip(places, items, strict=True)
        ]
        return Result(query.name, hits, query.paths)

    def _distinct(
        self, ids: Sequence[Id], places: Sequence[int], k: int | None, radius: int
    ) -> list[int]:
        """Keep the places of items that are not nearly the same as one before them."""
        kept: list[int] = []
        codes: list[NDArray[np.uint8]] = []
        contents: set[str] = set()
        for place, item in zip(places, self.collection.get(list(ids)), strict=True):
            if item is None:
                continue
            content = str((item.payload or {}).get("sha256", ""))
            if content and content in contents:
                continue
            if codes and hamming_distances(item.code[None, :], np.stack(codes)).min() <= radius:
                continue
            kept.append(place)
            codes.append(item.code)
            contents.add(content)
            if k is not None and len(kept) == k:
                break
        return kept

    # ------------------------------------------------------------------ rows

    def _row(self, source: Any, name: str) -> NDArray[np.float32]:
        photo = read_photo(source, name=name, draft_side=self.encoder.draft_side)
        try:
            prepared = self.encoder.prepare(photo.image)
        except Exception as error:  # of one odd picture, whatever it is
            raise ImageError(f"{name}: cannot be prepared for the network ({error})") from error
        rows = self.encoder.embed([prepared])
        # A collection with a quantizer of its own rotates; without one the model's rotation is it.
        if self.collection.quantizer is None:
            rows = self.encoder.rotate(rows)
        row: NDArray[np.float32] = rows[0]
        return row

    def _rotated(self, row: Array) -> NDArray[np.float32]:
        """Row of a query on the sqrt(k) sphere, rotated; of a code, its signs."""
        row = np.asarray(row)
        if row.dtype == np.uint8:
            signs: NDArray[np.float32] = unpack_signs(row[None, :], self.collection.n_bits)[0]
            return signs
        quantizer = self.collection.quantizer
        rows = row[None, :] if quantizer is None else np.asarray(quantizer.rotate(row[None, :]))
        rotated: NDArray[np.float32] = rows[0] * (len(rows[0]) ** 0.5 / np.linalg.norm(rows[0]))
        return rotated

    def _unrotated(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a row that the collection rotates to `z`."""
        quantizer: Any = self.collection.quantizer
        if quantizer is None:
            return z
        if not getattr(quantizer, "codes_are_signs", True):
            raise InvalidInputError(
                f"queries cannot be combined in a collection of a {type(quantizer).__name__}: it "
                "has no way back from rotated rows; search with one at a time"
            )
        row = z @ np.asarray(quantizer.rotation_).T
        if quantizer.components_ is not None:
            mean = np.asarray(quantizer.mean_)
            row = mean + row @ np.asarray(quantizer.components_)
        unrotated: NDArray[np.float32] = np.asarray(row, dtype=np.float32)
        return unrotated


def _check_model(collection: Collection, model: StrPath) -> None:
    """Refuse a model that is not the one the collection was made with, where it keeps one."""
    kept = collection.fingerprints.get("model")
    given = fingerprint(model_file(model))
    if kept not in (None, given):
        raise CompatibilityError(
            f"{collection.uri}: the collection was made with the model {str(kept)[:12]}, {model} "
            f"is {given[:12]} (SHA-256): its codes cannot be compared; leave the model out"
        )


def _shown(item_id: Id) -> str:
    return f"'{readable(item_id)}'" if isinstance(item_id, str) else repr(item_id)


def readings_of(item_id: Id) -> list[Id]:
    """Ids that a text may mean: a command line cannot tell 7 from "7"."""
    if not isinstance(item_id, str):
        return [item_id]
    if _NUMBER.fullmatch(item_id) and -(2**63) <= int(item_id) < 2**63:
        return [item_id, int(item_id)]
    return [readable(item_id)]  # as indexing names a file whose name is no UTF-8
