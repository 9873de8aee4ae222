"""Collections: ids, codes and payloads that are kept, changed and searched."""

from h2q.collections.base import (
    Batch,
    Collection,
    CollectionInfo,
    Id,
    IndexKind,
    Item,
    Keep,
    Neighbours,
    Payload,
    Rank,
    Where,
)
from h2q.collections.uri import open_collection

__all__ = [
    "Batch",
    "Collection",
    "CollectionInfo",
    "Id",
    "IndexKind",
    "Item",
    "Keep",
    "Neighbours",
    "Payload",
    "Rank",
    "Where",
    "open_collection",
]
