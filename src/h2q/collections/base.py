"""What every collection does, whichever engine keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from h2q._typing import Array, CodeArray, StrPath
from h2q.ranks.keeping import Keep as Keep

#: Name of an item: kept as given, so `1` and `"1"` are two items.
Id: TypeAlias = str | int
#: What may be stored beside a code: a JSON object.
Payload: TypeAlias = Mapping[str, Any]
#: A condition on payloads; the forms are those of `h2q.collections.filters`.
Where: TypeAlias = Mapping[str, Any]
#: How `search` orders: the name of a rank in the table `h2q.ranks.RANKS`.
Rank: TypeAlias = str
#: How items are found: by a scan of all ("flat", exact), or by an index.
IndexKind: TypeAlias = Literal["flat", "ivf", "hnsw", "mih"]


class Item(NamedTuple):
    """One item of a collection."""

    id: Id
    #: Packed code, shape (ceil(n_bits / 8),), uint8.
    code: CodeArray
    payload: dict[str, Any] | None


class Batch(NamedTuple):
    """Consecutive items of a collection."""

    ids: list[Id]
    #: Packed codes, shape (len(ids), ceil(n_bits / 8)), uint8.
    codes: CodeArray
    payloads: list[dict[str, Any] | None]


@dataclass(frozen=True)
class Neighbours:
    """What a search found: one entry a query, best first.

    Equal distances (or scores) are ordered by when the items were added, the older first.

    Attributes
    ----------
    ids : list of nq lists
    distances : list of nq ndarrays, int32
        Hamming distance of the query's code to each item, in bits.
    scores : list of nq ndarrays, float32, or None
        By the rank: the inner product of the rotated query with the item's code as signs
        {-1, +1} ("asymmetric"), the cosine of the rotated query and the item's row as estimated
        from its code and scale ("calibrated"), or that cosine with the kept row ("embedding",
        "cosine"). None where the search ranked by Hamming distance.
    """

    ids: list[list[Id]]
    distances: list[NDArray[np.int32]]
    scores: list[NDArray[np.float32]] | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class CollectionInfo:
    """Facts about a collection, as `h2q info` prints them.

    Attributes
    ----------
    uri : str
    engine : str
    format_version : int
    n_bits : int
    bit_order : str
    count : int
        Items held.
    size_bytes : int
        Bytes on disk.
    created_by : str
        Version of h2q that made it.
    fingerprints : dict
        Of each artifact kept (`"quantizer"`, `"model"`, `"decoder"`): SHA-256 in hex.
    keep : str
        What is kept of each real row beside its code.
    index : str
        How items are found.
    """

    uri: str
    engine: str
    format_version: int
    n_bits: int
    bit_order: str
    count: int
    size_bytes: int
    created_by: str
    fingerprints: dict[str, str]
    keep: Keep = "codes"
    index: IndexKind = "flat"


class Quantizer(Protocol):
    """The part of a quantizer of `h2q.quantization` a collection uses."""

    n_bits_: int

    def rotate(self, X: Array) -> Array:
        """Project and rotate rows (n, d) to (n, n_bits) real rows: what a real query becomes.

        Their signs are the codes, unless the quantizer has an attribute `codes_are_signs` that is
        False: then a query's code is that of `transform`.
        """

    def transform(self, X: Array) -> Array:
        """Code rows (n, d): packed codes (n, ceil(n_bits / 8)), uint8."""

    def to_bytes(self) -> bytes:
        """Return the quantizer as the content of a file."""


class Decoder(Protocol):
    """The part of a `h2q.CodeDecoder` a collection uses."""

    n_bits_: int

    def decode(self, codes: CodeArray) -> NDArray[np.float32]:
        """Return the expected row (n, n_bits) of each code."""

    def to_bytes(self) -> bytes:
        """Return the decoder as the content of a file."""


class Collection(Protocol):
    """Ids, codes and payloads that can be searched; made by `h2q.open_collection`."""

    @property
    def uri(self) -> str:
        """Where the collection lives."""

    @property
    def n_bits(self) -> int:
        """Length of its codes in bits."""

    @property
    def keep(self) -> Keep:
        """What is kept of each item's real row beside its code."""

    @property
    def quantizer(self) -> Quantizer | None:
        """The quantizer that made the codes, if it was given when the collection was made."""

    @property
    def decoder(self) -> Decoder | None:
        """What tells rows from codes, if it was given when the collection was made."""

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprint (hex) of each artifact kept: `"quantizer"`, `"model"`, `"decoder"`."""

    def model_bytes(self) -> bytes | None:
        """Return the model file kept with the codes, or None."""

    def write_model(self, path: StrPath) -> None:
        """Write the model file kept with the codes to `path`."""

    def add(
        self,
        ids: Sequence[Id],
        codes: Array,
        payloads: Sequence[Payload | None] | None = None,
        *,
        embeddings: Array | None = None,
    ) -> None:
        """Add items, replacing those whose id is held already (an upsert), all or none.

        When the call returns the items are durable. A replaced item takes the code and payload
        given and counts as newest. Where an id occurs twice in one call the last one stands.

        Parameters
        ----------
        ids : sequence of n str or int (64 bits)
        codes : array of shape (n, ceil(n_bits / 8)), uint8
            Packed codes (`h2q.codes.pack`, or `transform` of a quantizer).
        payloads : sequence of n JSON objects or None, optional
        embeddings : array of shape (n, d), real, optional
            The rows the codes were made from, given as queries are: rotated by the collection's
            quantizer where it has one, otherwise rotated already, (n, n_bits). Needed where the
            collection keeps something of them (`keep` is not "codes"); elsewhere they are checked
            and not kept.

        Raises
        ------
        InvalidInputError
            If an id, code, payload or embedding cannot be stored, or the embeddings are plainly
            not those of the codes; nothing is added then.
        CollectionError
            If the collection cannot be written; nothing is added then.
        """

    def delete(self, ids: Sequence[Id]) -> int:
        """Delete items; return how many were held. Unknown ids are passed over."""

    def search(
        self,
        queries: Array,
        k: int,
        where: Where | None = None,
        rank: Rank | None = None,
        oversample: int | None = None,
    ) -> Neighbours:
        """Find the `k` best items for each query.

        Parameters
        ----------
        queries : array of shape (nq, ceil(n_bits / 8)), uint8, or (nq, d), real
            Packed codes, or real rows. Real rows are rotated by the collection's quantizer where
            it has one; otherwise they must be rotated already, (nq, n_bits). A single query may
            have one dimension.
        k : int
            Fewer are returned where the collection holds fewer.
        where : mapping, optional
            Only items whose payload meets this condition (`h2q.collections.filters`).
        rank : str, optional
            Default: "hamming" for codes, "asymmetric" for real rows. All but "hamming" need real
            queries.

            - "hamming": the distance of the codes.
            - "asymmetric": the inner product of the rotated query and the code as signs.
            - "decoded": the inner product of the unit rotated query and the row expected behind
              the code; needs a collection made with a decoder (`h2q.CodeDecoder`).
            - "calibrated": the cosine of the rotated query and the item's row, estimated from
              the code and the row's scale; needs a collection that keeps "scale", "int8" or
              "float16".
            - "embedding": the distance of the codes, its ties broken by the distance of the
              normalised real rows, as the paper ranks; needs "int8" or "float16".
            - "cosine": the cosine of the rotated query and the kept row; needs "int8" or
              "float16".

            Equal items come in the order of adding.
        oversample : int, optional
            Where a rank orders a shortlist found by a cheaper one, the shortlist has
            `max(oversample * k, 1000)` items; 10 by default. Where the rank is answered exactly
            it changes nothing. Which ranks are, each engine says.
        """

    def within(self, queries: Array, radius: int, where: Where | None = None) -> Neighbours:
        """Find all items at a Hamming distance of at most `radius` bits (inclusive).

        Real queries are taken by their code. Best first.
        """

    def get(self, ids: Sequence[Id]) -> list[Item | None]:
        """Items by id, in the order asked for; None where an id is not held."""

    def count(self, where: Where | None = None) -> int:
        """Count the items, or those whose payload meets a condition."""

    def iterate(self, batch_size: int = 10_000, where: Where | None = None) -> Iterator[Batch]:
        """Yield all items in batches, the oldest first.

        Items written while iterating may or may not be met; each is met at most once a version.
        """

    def info(self) -> CollectionInfo:
        """Facts about the collection."""

    def close(self) -> None:
        """Release the collection; it cannot be used afterwards. Closing twice is harmless."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Id]: ...

    def __contains__(self, item_id: object) -> bool: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
