"""Open a collection together with what its photos are coded by."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from h2q import encoders
from h2q._lazy import require
from h2q._paths import path_text
from h2q._typing import StrPath
from h2q.collections import open_collection
from h2q.collections.base import Collection, Keep
from h2q.encoders.kept import KIND, metadata_of
from h2q.errors import CollectionError, InvalidInputError
from h2q.ingest.decoders import check_kept, is_name
from h2q.ingest.encoder import CodedEncoder, Encoder, PhotoEncoder, load_hasher, model_file


@contextlib.contextmanager
def collection_and_encoder(
    uri: str,
    *,
    model: StrPath | None = None,
    encoder: str | None = None,
    device: str = "auto",
    mode: Literal["a", "r"] = "a",
    keep: Keep | None = None,
    decoder: Any = None,
) -> Iterator[tuple[Collection, Encoder]]:
    """Open a collection of photos and what codes them.

    A collection keeps the model it was made with, or the name of its encoder, so neither is needed
    later; if given, it must be the same.

    Parameters
    ----------
    uri : str
        The collection; made where it is absent and `model` is given. (One with an encoder is made
        by `h2q.ingest.photos.index_photos`, which fits its quantizer.)
    model : path, optional
        A model file or a run folder.
    encoder : str, optional
        Where the encoder is now, if not where it was (`h2q.encoders.load_encoder`).
    device : str
        Where the network runs.
    mode : {"a", "r"}
        "r" only reads.
    keep : str, optional
        What is kept of each real row, as `h2q.open_collection` takes it.
    decoder : fitted decoder or name, optional
        As `h2q.open_collection` takes it. A name ("code") says which one it must be there already.

    Raises
    ------
    InvalidInputError
        If neither the collection nor the caller has a model.
    CompatibilityError
        If `model` or `encoder` is not the one the collection was made with.
    """
    if model is not None:
        # Loading first: a damaged model must not leave an empty collection behind.
        coder = PhotoEncoder(load_hasher(model), device)
        options: dict[str, Any] = {"n_bits": coder.n_bits, "model": model_file(model)}
        with _with_decoder(uri, decoder, mode=mode, keep=keep, **options) as collection:
            yield collection, coder
        return
    with _with_decoder(uri, decoder, mode=mode, keep=keep) as collection:
        yield collection, kept_encoder(collection, encoder=encoder, device=device)


@contextlib.contextmanager
def _with_decoder(uri: str, decoder: Any, **options: Any) -> Iterator[Collection]:
    if not is_name(decoder):
        with open_collection(uri, decoder=decoder, **options) as collection:
            yield collection
        return
    if not is_there(uri):
        raise InvalidInputError(
            f"there is no collection {uri} yet, and nothing to fit its decoder {decoder!r} on "
            "here; give the file of a decoder, or index a folder of some of the photos first"
        )
    with open_collection(uri, **options) as collection:
        check_kept(collection, decoder)
        yield collection


def kept_encoder(
    collection: Collection, *, encoder: str | None = None, device: str = "auto"
) -> Encoder:
    """Load what codes the photos of a collection: its model, or its encoder and quantizer.

    Raises
    ------
    InvalidInputError
        If it keeps none.
    CompatibilityError
        If `encoder` is another than the one it was made with.
    """
    data = collection.model_bytes()
    if data is None:
        raise InvalidInputError(
            f"the collection {collection.uri} keeps no model and no encoder, so it cannot encode "
            "photos; give the model (--model), or query with embeddings or codes"
        )
    try:
        return encoder_of(data, collection.quantizer, name=encoder, device=device)
    except InvalidInputError as error:
        raise InvalidInputError(f"the collection {collection.uri}: {error}") from error


def encoder_of(
    data: bytes, quantizer: Any, *, name: str | None = None, device: str = "auto"
) -> Encoder:
    """Load what a collection keeps of the model or the encoder of its photos.

    Parameters
    ----------
    data : bytes
        What `Collection.model_bytes` gives.
    quantizer : fitted quantizer or None
        The collection's.
    name : str, optional
        Where the encoder is now, if not where it was.
    device : str
    """
    if metadata_of(data).get("kind") == KIND:
        if quantizer is None:
            raise InvalidInputError(
                "it keeps an encoder but no quantizer; index the photos again into a new collection"
            )
        return CodedEncoder(encoders.load_kept(data, name=name, device=device), quantizer)
    if name is not None:
        raise InvalidInputError("it keeps a trained model; leave --encoder out")
    learning: Any = require("h2q.learning", "train")
    return PhotoEncoder(learning.Hasher.from_bytes(data), device)


def exists(uri: str) -> bool:
    """Whether an embedded collection is there; True for a server's, which is asked by opening."""
    return "://" in path_text(uri, "the address of the collection") or Path(uri).exists()


def is_there(uri: str) -> bool:
    """Whether there is a collection of that address; a server is asked."""
    if "://" not in uri:
        return exists(uri)
    try:
        open_collection(uri, mode="r").close()
    except CollectionError as error:
        if "no such collection" in str(error):
            return False
        raise
    return True
