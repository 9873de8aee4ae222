"""Open a collection together with the model its photos are encoded with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from h2q._lazy import require
from h2q._typing import StrPath
from h2q.collections import open_collection
from h2q.collections.base import Collection, Keep
from h2q.errors import InvalidInputError
from h2q.ingest.encoder import PhotoEncoder, load_hasher, model_file


@contextlib.contextmanager
def collection_and_encoder(
    uri: str,
    *,
    model: StrPath | None = None,
    device: str = "auto",
    mode: Literal["a", "r"] = "a",
    keep: Keep | None = None,
) -> Iterator[tuple[Collection, PhotoEncoder]]:
    """Open a collection of photos and its model.

    A collection keeps the model it was made with, so `model` is needed only to make a new one; if
    given later, it must be the same.

    Parameters
    ----------
    uri : str
        The collection; made where it is absent and `model` is given.
    model : path, optional
        A model file or a run folder.
    device : str
        Where the network runs.
    mode : {"a", "r"}
        "r" only reads.
    keep : str, optional
        What is kept of each real row, as `h2q.open_collection` takes it.

    Raises
    ------
    InvalidInputError
        If neither the collection nor the caller has a model.
    CompatibilityError
        If `model` is not the one the collection was made with.
    """
    if model is not None:
        # Loading first: a damaged model must not leave an empty collection behind.
        encoder = PhotoEncoder(load_hasher(model), device)
        options: dict[str, Any] = {"n_bits": encoder.n_bits, "model": model_file(model)}
        with open_collection(uri, mode=mode, keep=keep, **options) as collection:
            yield collection, encoder
        return
    with open_collection(uri, mode=mode, keep=keep) as collection:
        yield collection, PhotoEncoder(kept_model(collection), device)


def kept_model(collection: Collection) -> Any:
    """Load the model that a collection keeps.

    Raises
    ------
    InvalidInputError
        If it keeps none.
    """
    data = collection.model_bytes()
    if data is None:
        raise InvalidInputError(
            f"the collection {collection.uri} keeps no model, so it cannot encode photos; "
            "give the model (--model), or query with embeddings or codes"
        )
    learning: Any = require("h2q.learning", "train")
    return learning.Hasher.from_bytes(data)


def exists(uri: str) -> bool:
    """Whether an embedded collection is there; True for a server's, which is asked by opening."""
    return "://" in uri or Path(uri).exists()
