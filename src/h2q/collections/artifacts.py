"""Files that made the codes of a collection and are kept with it: quantizer, model, decoder."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from h2q._files import check_not_held
from h2q._foreign import reading, size_of
from h2q._seal import without_seal
from h2q.errors import FormatError, InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from h2q._typing import Array, CodeArray

#: The content itself, or the file that has it.
Source: TypeAlias = bytes | Path
_CHUNK_BYTES: Final = 1 << 20
_LONGEST_HEADER: Final = 100 << 20


class Quantizer(Protocol):
    """The part of a quantizer of `h2q.quantization` a collection uses."""

    n_bits_: int

    def rotate(self, X: Array) -> Array:
        """Project and rotate rows (n, d) to (n, n_bits) real rows: what a real query becomes.

        Their signs are the codes, unless the quantizer has an attribute `codes_are_signs` that is
        False: then a query's code is that of `transform`.
        """

    def transform(self, X: Array) -> Array:
        """Code rows (n, d): packed codes (n, ceil(n_bits / 8)), uint8."""

    def to_bytes(self) -> bytes:
        """Return the quantizer as the content of a file."""


class Decoder(Protocol):
    """The part of a `h2q.CodeDecoder` a collection uses."""

    n_bits_: int

    def decode(self, codes: CodeArray) -> NDArray[np.float32]:
        """Return the expected row (n, n_bits) of each code."""

    def to_bytes(self) -> bytes:
        """Return the decoder as the content of a file."""


@dataclass(frozen=True)
class ArtifactFacts:
    """What a collection states of an artifact: by what two are compared, and what proves it whole.

    `fingerprint` is that of `fingerprint`, `sha256` that of the bytes.
    """

    fingerprint: str
    sha256: str


def opened(source: Source) -> io.BytesIO | io.BufferedReader:
    """Open a source for reading."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    check_not_held(source)
    return source.open("rb")


def fingerprint(source: Source) -> str:
    """SHA-256 (hex) of a content, in which the header of a safetensors file is put in order.

    The safetensors library writes the entries of its header in an order that changes from run to
    run, and files of ours of earlier versions have no checksum there, so the plain bytes would tell
    a model from itself.
    """
    digest = hashlib.sha256()
    with opened(source) as file:
        start = file.read(8)
        header = file.read(min(int.from_bytes(start, "little"), _LONGEST_HEADER))
        try:
            plain = without_seal(json.loads(header))
            digest.update(json.dumps(plain, sort_keys=True).encode())
        except (ValueError, RecursionError, AttributeError):  # of another format: as it is
            digest.update(start + header)
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def proven(where: str, name: str, chunks: Iterable[bytes], sha256: str) -> Iterator[bytes]:
    """Pass the parts of an artifact kept in `where` on, and check at the end that they are whole.

    Raises
    ------
    FormatError
        At the end, if they are not.
    """
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != sha256:
        raise FormatError(f"{where}: the {name} in the collection is damaged: its checksum differs")


def bits_of_model(source: Source) -> int:
    """Code length a model file states (kind "hasher" or "encoder"), without loading it."""
    name = "model" if isinstance(source, bytes) else str(source)
    if isinstance(source, Path) and not source.is_file():
        raise InvalidInputError(f"{name}: cannot read this model file: there is no such file")
    with reading(name, "a model of h2q"):
        if isinstance(source, bytes):
            data = source
        else:
            size_of(source)
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


def as_quantizer(data: bytes) -> Quantizer:
    """Read a quantizer."""
    from h2q.quantization.stored import stored_quantizer  # scikit-learn waits until it is needed

    quantizer: Quantizer = stored_quantizer(data)
    return quantizer


def as_decoder(data: bytes) -> Decoder:
    """Read a decoder."""
    from h2q import quantization

    decoder: Any = quantization.decoder_from_bytes(data)
    kept: Decoder = decoder
    return kept
