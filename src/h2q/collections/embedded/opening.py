"""Open a collection file, or make one; refuse what does not fit it."""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from h2q._typing import StrPath
from h2q._version import __version__
from h2q.codes import code_width
from h2q.collections.base import IndexKind, Keep, Quantizer
from h2q.collections.embedded import artifacts, schema
from h2q.collections.embedded.collection import EmbeddedCollection
from h2q.collections.embedded.connection import Mode, connect, connect_new, writing
from h2q.collections.embedded.faults import reported
from h2q.collections.records import check_keep
from h2q.errors import CollectionError, CompatibilityError, FormatError, InvalidInputError


@dataclass(frozen=True)
class Wanted:
    """What the caller says the collection is made of.

    Attributes
    ----------
    n_bits : dict
        The code length by whom it is stated: "n_bits", "quantizer", "model".
    sources : dict
        The artifacts' contents: "quantizer", "model".
    keep : str or None
        What is to be kept of each real row.
    """

    n_bits: dict[str, int] = field(default_factory=dict)
    sources: dict[str, artifacts.Source] = field(default_factory=dict)
    keep: Keep | None = None


def open_embedded(
    path: Path,
    *,
    n_bits: int | None = None,
    quantizer: Quantizer | None = None,
    model: StrPath | bytes | None = None,
    mode: Mode = "a",
    keep: Keep | None = None,
    index: IndexKind | None = None,
    index_options: Mapping[str, int] | None = None,
) -> EmbeddedCollection:
    """Open the collection in the file `path`; see `h2q.open_collection`."""
    if mode not in ("a", "r"):
        raise InvalidInputError(f"mode is 'a' (read and write) or 'r' (read), got {mode!r}")
    if index not in (None, "flat") or index_options:
        raise InvalidInputError(f"an embedded collection has index='flat' alone, got {index!r}")
    wanted = _wanted(n_bits, quantizer, model, None if keep is None else check_keep(keep))
    with reported(path):
        if path.is_dir():
            raise CollectionError(f"{path}: a folder, where the file of a collection is needed")
        if not path.exists():
            if mode == "r":
                raise CollectionError(f"{path}: there is no such collection to read")
            if not wanted.n_bits:
                raise CollectionError(
                    f"{path}: there is no such collection; give n_bits, a quantizer or a model to "
                    "make one"
                )
            _create(path, wanted)
        schema.check_file(path)
        connection = connect(path, mode)
        try:
            meta = schema.read_meta(connection, path)
            _check_fit(connection, path, meta, wanted)
        except BaseException:
            connection.close()
            raise
    return EmbeddedCollection(connection, path, mode, meta)


def _wanted(
    n_bits: int | None,
    quantizer: Quantizer | None,
    model: StrPath | bytes | None,
    keep: Keep | None,
) -> Wanted:
    wanted = Wanted(keep=keep)
    if n_bits is not None:
        code_width(n_bits)
        wanted.n_bits["n_bits"] = int(n_bits)
    if quantizer is not None:
        wanted.sources["quantizer"] = quantizer.to_bytes()
        wanted.n_bits["quantizer"] = int(quantizer.n_bits_)
    if model is not None:
        source = model if isinstance(model, bytes) else Path(model)
        wanted.sources["model"] = source
        wanted.n_bits["model"] = _bits_of_model(source)
    if len(set(wanted.n_bits.values())) > 1:
        stated = ", ".join(f"{name}: {bits} bits" for name, bits in wanted.n_bits.items())
        raise InvalidInputError(f"the code length is contradictory ({stated}); leave n_bits out")
    return wanted


def _bits_of_model(source: artifacts.Source) -> int:
    """Code length a model file (safetensors, kind "hasher") states, without loading the model."""
    name = "model" if isinstance(source, bytes) else str(source)
    try:
        if isinstance(source, bytes):
            data = source
        else:
            with source.open("rb") as file:
                start = file.read(8)
                # No more than the file has, whatever its first bytes claim.
                data = start + file.read(
                    min(int.from_bytes(start, "little"), source.stat().st_size)
                )
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        metadata = header["__metadata__"]
        if metadata["kind"] != "hasher":
            raise FormatError(f"{name}: not a model but a {metadata['kind']!r}")
        return int(json.loads(metadata["hasher"])["n_bits"])
    except OSError as error:
        raise InvalidInputError(f"{name}: cannot read this model file: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{name}: not a model of h2q, or truncated ({error!r})") from error


def _create(path: Path, wanted: Wanted) -> None:
    """Make the file under another name and give it its own when it is complete."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        connection = connect_new(temporary)
        try:
            n_bits = next(iter(wanted.n_bits.values()))
            schema.create(connection, n_bits, __version__, wanted.keep or "codes")
            with writing(connection):
                for name, source in wanted.sources.items():
                    artifacts.store(connection, name, source)
        finally:
            connection.close()  # folds the write-ahead log into the file
        try:
            os.link(temporary, path)  # unlike a rename it never takes the place of another file
        except FileExistsError:
            return  # another process has just made it; it is checked as any other
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{temporary}{suffix}").unlink(missing_ok=True)


def _check_fit(
    connection: sqlite3.Connection, path: Path, meta: Mapping[str, str], wanted: Wanted
) -> None:
    n_bits = int(meta["n_bits"])
    if wanted.keep not in (None, meta["keep"]):
        raise CompatibilityError(
            f"{path}: the collection was made with keep={meta['keep']!r}, keep={wanted.keep!r} was "
            "asked for; leave keep out, or make another collection"
        )
    for name, bits in wanted.n_bits.items():
        if bits != n_bits:
            whose = f"{bits} bits were asked for" if name == "n_bits" else f"the {name} has {bits}"
            raise CompatibilityError(
                f"{path}: the collection holds {n_bits}-bit codes, {whose}; make another "
                "collection for them"
            )
    held = artifacts.fingerprints(connection)
    for name, source in wanted.sources.items():
        given, kept = artifacts.fingerprint(source), held.get(name)
        if kept is None:
            raise CompatibilityError(
                f"{path}: the collection was made without a {name}, the one given is "
                f"{given[:12]}; make another collection for it"
            )
        if given != kept:
            raise CompatibilityError(
                f"{path}: the codes were made with the {name} {kept[:12]}, the one given is "
                f"{given[:12]} (SHA-256); make another collection for it"
            )
