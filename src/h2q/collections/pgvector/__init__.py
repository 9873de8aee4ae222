"""Collections in PostgreSQL with the pgvector extension. psycopg is imported when one is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from h2q._lazy import require
from h2q.collections.request import OpenRequest

if TYPE_CHECKING:
    from h2q.collections.pgvector.collection import PgvectorCollection

__all__ = ["open_pgvector"]


def open_pgvector(uri: str, request: OpenRequest) -> PgvectorCollection:
    """Open the collection at a ``postgresql://`` address; see `h2q.open_collection`.

    Raises
    ------
    MissingExtraError
        If psycopg is not installed: ``pip install 'h2q[pgvector]'``.
    """
    require("psycopg", "pgvector")
    from h2q.collections.pgvector.opening import open_checked

    return open_checked(uri, request)
