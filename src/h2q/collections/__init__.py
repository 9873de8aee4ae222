"""Collections: ids, codes and payloads that are kept, changed and searched."""

from h2q.collections.base import (
    Batch,
    Collection,
    CollectionInfo,
    Item,
    NewItems,
    Payload,
    Rank,
    Where,
)
from h2q.collections.index_spec import IndexKind, IndexSpec
from h2q.collections.inputs import Id
from h2q.collections.neighbours import Neighbours
from h2q.collections.request import Facts, OpenRequest
from h2q.collections.shortlists import Asked, Shortlist
from h2q.collections.uri import open_collection, register_engine
from h2q.ranks import Keep

__all__ = [
    "Asked",
    "Batch",
    "Collection",
    "CollectionInfo",
    "Facts",
    "Id",
    "IndexKind",
    "IndexSpec",
    "Item",
    "Keep",
    "Neighbours",
    "NewItems",
    "OpenRequest",
    "Payload",
    "Rank",
    "Shortlist",
    "Where",
    "open_collection",
    "register_engine",
]
