"""Collections in PostgreSQL with the pgvector extension. psycopg is imported when one is opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from h2q._lazy import require
from h2q._typing import StrPath
from h2q.collections.base import Decoder, IndexKind, Keep, Quantizer

if TYPE_CHECKING:
    from h2q.collections.pgvector.collection import PgvectorCollection

__all__ = ["open_pgvector"]


def open_pgvector(
    uri: str,
    *,
    n_bits: int | None = None,
    quantizer: Quantizer | None = None,
    model: StrPath | bytes | None = None,
    decoder: Decoder | None = None,
    mode: Literal["a", "r"] = "a",
    keep: Keep | None = None,
    index: IndexKind | None = None,
    index_options: Mapping[str, int] | None = None,
    timeout: float | None = None,
) -> PgvectorCollection:
    """Open the collection at a ``postgresql://`` address; see `h2q.open_collection`.

    Raises
    ------
    MissingExtraError
        If psycopg is not installed: ``pip install 'h2q[pgvector]'``.
    """
    require("psycopg", "pgvector")
    from h2q.collections.pgvector.opening import open_checked

    return open_checked(
        uri,
        n_bits=n_bits,
        quantizer=quantizer,
        model=model,
        decoder=decoder,
        mode=mode,
        keep=keep,
        index=index,
        index_options=index_options,
        timeout=timeout,
    )
