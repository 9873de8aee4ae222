"""The bodies of requests and answers; the OpenAPI description is made from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

ItemId = StrictStr | Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]
Condition = dict[str, Any]
Base64 = Annotated[str, Field(description="Bytes as base64.")]
_MOST: int = 10_000
K = Annotated[int, Field(ge=1, le=_MOST, description="Neighbours a query at most.")]
Radius = Annotated[int | None, Field(ge=0, description="All within so many bits, inclusive.")]


class Model(BaseModel):
    """A body; unknown fields are refused, so that a typo is not passed over."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Problem(Model):
    """An answer that is an error."""

    class Error(Model):
        """What is wrong."""

        kind: str = Field(description="Class of the error, such as InvalidInputError.")
        message: str = Field(description="Names the input and the remedy.")

    error: Error
    request_id: str


class ItemOut(Model):
    """An item of the collection."""

    key: str = Field(description='"s:" and a text id, or "i:" and a number.')
    id: ItemId
    place: int | None = Field(default=None, description="Place in the order of adding.")
    code: Base64
    payload: dict[str, Any] | None = None
    photo: bool = Field(description="Whether it has a photo that may be shown.")


class ItemsOut(Model):
    """A stretch of the collection."""

    total: int
    offset: int
    stamp: str = Field(description="Of all items: places hold as long as it is the same.")
    items: list[ItemOut]


class Found(ItemOut):
    """A neighbour."""

    distance: int = Field(description="In bits.")
    score: float | None = Field(default=None, description="By the rank; higher is nearer.")


class Query(Model):
    """What is searched for; exactly one of the fields."""

    key: str | None = Field(default=None, description="An item of the collection.")
    photo: str | None = Field(default=None, description="Token of a photo given to /queries.")
    code: Base64 | None = None
    vector: list[float] | None = Field(default=None, min_length=1, max_length=65_536)
    text: str | None = Field(default=None, min_length=1, max_length=1000)


class SearchIn(Model):
    """A search."""

    queries: list[Query] = Field(min_length=1, max_length=16, description="Several: their mean.")
    without: list[Query] = Field(
        default=[], max_length=16, description="What it shall not be like."
    )
    k: K = 50
    radius: Radius = None
    where: Condition | None = None
    rank: str | None = None
    oversample: int | None = Field(default=None, ge=1, le=1_000_000)
    distinct: int | None = Field(
        default=None, ge=0, description="Hide what is within so many bits of a better one."
    )
    overview: bool = Field(
        default=False,
        description="Whether the answer tells how all items lie: the histogram, and places.",
    )


class SearchOut(Model):
    """What was found, best first."""

    rank: str
    code: Base64 = Field(description="Of the query.")
    items: list[Found]
    histogram: list[int] | None = Field(
        description="Items at each distance from the query, 0 to n_bits, but for those that it "
        "was made of; where it was asked for."
    )
    milliseconds: float = Field(description="Of the collection's own search.")


class AskedOut(Model):
    """A photo that can be searched with."""

    token: str
    code: Base64


class ArrayIn(Model):
    """An array, bit by bit: little-endian, the last axis fastest."""

    dtype: Literal[
        "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
        "float16", "float32", "float64",
    ]  # fmt: skip
    shape: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(max_length=4)
    data: Base64


Codes = Annotated[
    Base64 | ArrayIn,
    Field(description="Packed codes, all of them one after another, or an array: codes or rows."),
]


class BatchIn(Model):
    """Many queries at once, for programs."""

    queries: Codes
    k: Annotated[int | None, Field(ge=1, lt=2**31)] = None
    radius: Radius = None
    where: Condition | None = None
    rank: str | None = None
    oversample: int | None = Field(default=None, ge=1, le=1_000_000)
    payloads: bool = Field(default=False, description="Whether payloads are answered, too.")


class BatchOut(Model):
    """For each query, ids, distances in bits and, by rank, scores."""

    ids: list[list[ItemId]]
    distances: list[list[int]]
    scores: list[list[float]] | None
    payloads: list[list[dict[str, Any] | None]] | None


class UploadIn(Model):
    """Says that a request is a part of a larger one; all is stored with the last part."""

    token: str = Field(pattern="^[A-Za-z0-9_-]{16,64}$", description="Of the client's choice.")
    part: int = Field(ge=0, lt=2**31, description="From 0; in this order.")
    last: bool


class AddIn(Model):
    """Items to add or replace: codes, or rows that the collection codes."""

    ids: list[ItemId]
    codes: Codes | None = None
    embeddings: ArrayIn | None = Field(
        default=None, description="The rows, beside codes or in their place."
    )
    payloads: list[dict[str, Any] | None] | None = None
    upload: UploadIn | None = None


class Added(Model):
    """What was stored; durable."""

    added: int
    count: int


class KeysIn(Model):
    """Items by key."""

    keys: list[str]


class IdsIn(Model):
    """Items by id."""

    ids: list[ItemId]


class Deleted(Model):
    """How many were held."""

    deleted: int


class Stored(Model):
    """Items by id, null where one is not held."""

    class One(Model):
        """An item."""

        id: ItemId
        code: Base64
        payload: dict[str, Any] | None

    items: list[One | None]


class PlacesIn(Model):
    """Items by place."""

    places: list[int] = Field(max_length=2000)
    stamp: str | None = Field(default=None, description="Refused if the items have changed.")


class Counted(Model):
    """Items that meet a condition."""

    count: int


class WhereIn(Model):
    """A condition."""

    where: Condition | None = None


class ScanIn(WhereIn):
    """Which items, and how many a line."""

    batch_size: int = Field(default=2000, ge=1, le=20_000)


class FacetOut(Model):
    """A payload key and its values."""

    class Value(Model):
        """A value, the items that have it, the condition they meet."""

        text: str
        count: int
        where: Condition

    key: str
    values: list[Value]


class FacetsOut(Model):
    """What can be filtered by."""

    total: int
    facets: list[FacetOut]


class RankOut(Model):
    """A rank this collection can answer."""

    name: str
    text: str


class InfoOut(Model):
    """About the collection."""

    name: str
    engine: str
    n_bits: int
    count: int
    size_bytes: int
    bit_order: str
    keep: str
    index: str
    created_by: str
    format_version: int
    revision: str = Field(description="Another text after every change of the items.")
    fingerprints: dict[str, str]
    ranks: list[RankOut]
    encoder: str | None = Field(description="What codes photos, once it is loaded.")
    photos: bool = Field(description="Photos can be searched with.")
    texts: bool = Field(description="Words can be searched with.")
    maps: list[str] = Field(description="Ways to lay out the map.")
    writable: bool
    roots: int = Field(description="Folders of which photos are shown.")


class StatsOut(Model):
    """What the codes look like."""

    statistics: dict[str, float | int | None]
    balance: list[float] = Field(description="For each bit, the share of items that have it set.")
    histogram: list[int] = Field(description="Pairs of a sample at each distance.")
    search_milliseconds: float | None = Field(description="Median of some single searches.")


class MapOut(Model):
    """Where the items lie; `places` are x and y in [-1, 1], float32, in the order of adding."""

    method: Literal["pca", "tsne", "opentsne"]
    ready: bool
    stamp: str
    count: int
    places: Base64 | None


class MaskOut(Model):
    """Which items meet a condition: a byte for each, 1 or 0, in the order of adding."""

    stamp: str
    mask: Base64


class ColoursOut(Model):
    """The value of a facet for each item: `numbers` are int32, -1 where it has none."""

    values: list[str]
    numbers: Base64


class GroupOut(Model):
    """Items that hang together; of the level "same", the one to keep is first."""

    class MemberOut(Model):
        """An item of a group."""

        key: str
        id: ItemId
        change: str = Field(description="What it is beside the first: re-encoded, cropped, ...")
        distance: int = Field(description="In bits, from the first.")
        width: int | None
        height: int | None
        size: int | None = Field(description="Bytes of the file.")
        date: str | None
        format: str | None
        protected: bool
        photo: bool = Field(description="Whether its photo is at hand, so that it was verified.")

    level: Literal["same", "close", "related"]
    why: str = Field(description="Why the first is the one to keep.")
    members: list[MemberOut]


class DuplicatesOut(Model):
    """Groups of duplicates, or how far the search for them is."""

    ready: bool
    stage: str
    done: int
    of: int
    trouble: str = Field(default="", description="What could not be verified.")
    counts: dict[Literal["same", "close", "related"], int] = {}
    spare: int = Field(default=0, description="Photos that could be moved away.")
    groups: list[GroupOut] = []


class PlanIn(Model):
    """What a person chose."""

    class Choice(Model):
        """A photo to keep, and those of its group to move away."""

        keep: str
        move: list[str] = Field(max_length=10_000)

    chosen: list[Choice] = Field(max_length=100_000)


class SessionIn(Model):
    """An API key, to be kept in a cookie for the page."""

    key: str = Field(max_length=1000)


class SessionOut(Model):
    """Whether a key is needed and was accepted."""

    needed: bool
    scopes: list[Literal["read", "write"]]


class Health(Model):
    """Whether the server lives, or is ready."""

    status: str
    version: str
