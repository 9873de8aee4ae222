"""One door to every collection: the scheme of the address chooses the engine."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from h2q._paths import path_text
from h2q._typing import StrPath
from h2q.collections.artifacts import Decoder, Quantizer
from h2q.collections.base import Collection
from h2q.collections.index_spec import IndexKind
from h2q.collections.request import Mode, OpenRequest
from h2q.errors import InvalidInputError
from h2q.ranks import Keep

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
#: What opens the addresses of a scheme, as ``module:function`` that is imported when first needed;
#: it is called with the address and the `OpenRequest`.
_ENGINES: Final = {
    "http": "h2q.collections.http:open_http",
    "https": "h2q.collections.http:open_http",
    "milvus": "h2q.collections.milvus:open_milvus",
    "postgresql": "h2q.collections.pgvector:open_pgvector",
    "postgres": "h2q.collections.pgvector:open_pgvector",
}


def register_engine(scheme: str, opener: str) -> None:
    """Let addresses that begin with ``scheme://`` be opened by an engine of one's own.

    Parameters
    ----------
    scheme : str
    opener : str
        ``package.module:function``; called with the address (str) and the
        `h2q.collections.OpenRequest`, it returns a `h2q.collections.Collection`.
    """
    _ENGINES[scheme.lower()] = opener


def open_collection(
    uri: StrPath,
    *,
    n_bits: int | None = None,
    quantizer: Quantizer | str | None = None,
    model: StrPath | bytes | None = None,
    decoder: Decoder | None = None,
    mode: Mode = "a",
    keep: Keep | None = None,
    index: IndexKind | None = None,
    index_options: Mapping[str, int] | None = None,
    timeout: float | None = None,
) -> Collection:
    """Open a collection of codes, or make it where it does not exist.

    Parameters
    ----------
    uri : str or path
        Path of a file, customarily ``NAME.h2q``; or the address of a server:
        ``postgresql://user@host:port/database?collection=NAME``, ``milvus://host:port/NAME``,
        ``http://host:port/`` of `h2q serve`.
    n_bits : int, optional
        Length of the codes.
    quantizer : quantizer, optional
        The fitted quantizer that makes the codes. It is kept in the collection; real rows are
        coded and real queries rotated by it. One that is not fitted, or the name of one ("h2q",
        "itq", ...), is fitted by the first real rows that are added, and kept then
        (`Collection.add`).
    model : path or bytes, optional
        The model file (`h2q.learning.Hasher.save`) that makes the codes. It is kept in the
        collection; a quantizer inside it is not applied to queries, which its `forward` rotates.
    decoder : h2q.CodeDecoder, optional
        Fitted on rotated rows. It is kept in the collection, for the rank "decoded".
    mode : {"a", "r"}
        "a" reads and writes, "r" only reads (also from a read-only folder).
    keep : {"codes", "scale", "int8", "float16"}, optional
        What is kept of each item's real row beside its code, for the ranks that need it
        (`Collection.search`). Fixed when the collection is made: "codes", nothing, by default.
    index : {"flat", "ivf", "ivf_asymmetric", "hnsw", "mih"}, optional
        How items are found: by an exact scan of all ("flat", the default of a new collection), or
        by an index, which is made where the collection has none yet and the engine can. "flat" of
        one that exists lets this object scan all, and changes nothing
        (`h2q.collections.index_spec`).
    index_options : mapping of str to int, optional
        Options of the index.
    timeout : float, optional
        Seconds to wait for a server to answer; a file has no use for it.

    Returns
    -------
    Collection
        Made if it does not exist and one of `n_bits`, `quantizer` and `model` is given.

    Raises
    ------
    CompatibilityError
        If it exists and was made with another code length, quantizer, model, decoder, `keep` or
        format version.
    FormatError
        If the file is not a collection, or is damaged.
    CollectionError
        If it cannot be opened or made.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from h2q.codes import pack
    >>> folder = tempfile.TemporaryDirectory()
    >>> rows = np.array([[0.9, 0.1, -0.3, 0.2], [-0.8, 0.4, 0.1, -0.6], [0.7, -0.2, -0.4, 0.1]])
    >>> with open_collection(f"{folder.name}/photos.h2q", n_bits=4) as photos:
    ...     photos.add(["a.jpg", "b.jpg", "c.jpg"], pack(rows), [{"year": 2020}, None, None])
    ...     photos.search(rows[0], k=2).ids
    [['a.jpg', 'c.jpg']]
    >>> folder.cleanup()
    """
    address = path_text(uri, "the address of the collection")
    request = OpenRequest.of(
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
    engine = _engine_of(uri)
    if engine is not None:
        return _checked(engine(address, request), request)
    path = _file_of(uri)
    from h2q.collections.embedded import open_embedded

    return _checked(open_embedded(path, request), request)


def _checked(collection: Collection, request: OpenRequest) -> Collection:
    """Return a collection that fits the quantizer which is to be fitted, of whatever engine."""
    try:
        request.check_learner(collection)
    except BaseException:
        collection.close()
        raise
    return collection


def _engine_of(uri: StrPath) -> Callable[..., Collection] | None:
    """Return what opens the addresses of this scheme, None where it is that of a file."""
    found = _SCHEME.match(uri) if isinstance(uri, str) else None
    if found is None or found[1].lower() not in _ENGINES:
        return None
    module, _, function = _ENGINES[found[1].lower()].partition(":")
    opener: Callable[..., Collection] = getattr(importlib.import_module(module), function)
    return opener


def _file_of(uri: StrPath) -> Path:
    if isinstance(uri, Path) or not isinstance(uri, str):
        return Path(uri)
    found = _SCHEME.match(uri)
    if found is None:
        if uri == ":memory:":
            raise InvalidInputError(
                "':memory:' is SQLite's word, and a collection is a file; give a path, in a "
                "temporary folder if it need not last"
            )
        return Path(uri)
    scheme = found[1].lower()
    if scheme == "file":
        return Path(unquote(urlsplit(uri).path))
    # Only the scheme is shown: an address may hold a password.
    raise InvalidInputError(
        f"unknown scheme {scheme!r}; give a path such as photos.h2q, or an address that begins "
        f"with one of {', '.join(f'{name}://' for name in _ENGINES)}"
    )
