"""The collection kept in one file: SQLite is the truth, the indexes in memory are derived."""

from h2q.collections.embedded.collection import EmbeddedCollection
from h2q.collections.embedded.opening import open_embedded

__all__ = ["EmbeddedCollection", "open_embedded"]
