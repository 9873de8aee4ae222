"""Files that made the codes of a collection and are kept with it: a quantizer, a model."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Final, TypeAlias

from h2q.errors import FormatError, InvalidInputError

#: The content itself, or the file that has it.
Source: TypeAlias = bytes | Path
_CHUNK_BYTES: Final = 1 << 20
_LONGEST_HEADER: Final = 100 << 20


def opened(source: Source) -> io.BytesIO | io.BufferedReader:
    """Open a source for reading."""
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def fingerprint(source: Source) -> str:
    """SHA-256 (hex) of a content, in which the header of a safetensors file is put in order.

    The safetensors library writes the entries of its header in an order that changes from run to
    run, so the plain bytes would tell a model from itself.
    """
    digest = hashlib.sha256()
    with opened(source) as file:
        start = file.read(8)
        header = file.read(min(int.from_bytes(start, "little"), _LONGEST_HEADER))
        try:
            digest.update(json.dumps(json.loads(header), sort_keys=True).encode())
        except ValueError:  # of another format: as it is
            digest.update(start + header)
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def bits_of_model(source: Source) -> int:
    """Code length a model file states (kind "hasher" or "encoder"), without loading it."""
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
        # A trained network, or the name of an encoder beside the quantizer that makes its codes.
        if metadata["kind"] not in ("hasher", "encoder"):
            raise FormatError(f"{name}: not a model but a {metadata['kind']!r}")
        return int(json.loads(metadata[metadata["kind"]])["n_bits"])
    except OSError as error:
        raise InvalidInputError(f"{name}: cannot read this model file: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{name}: not a model of h2q, or truncated ({error!r})") from error
