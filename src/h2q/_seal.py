"""The checksum in our safetensors files: a bit that changed on its way is seen when one is read."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from h2q.errors import FormatError

#: The entry of the header's metadata. Files of earlier versions have none, and are read.
CHECKSUM: Final = "sha256"


def sealed(data: bytes) -> bytes:
    """Return the content of a safetensors file with its checksum, and its header in order.

    The safetensors library writes the entries of the header in random order; here equal content
    gives equal bytes.
    """
    header, tensors = _parts(data)
    metadata = header.setdefault("__metadata__", {})
    metadata[CHECKSUM] = _digest(header, tensors)
    text = _in_order(header)
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + tensors


def check_seal(data: bytes, name: object) -> None:
    """Raise `FormatError` where the content of a safetensors file is not what its checksum says.

    Parameters
    ----------
    data : bytes
        A safetensors file, whose header has been read already.
    name : object
        What the message calls it.
    """
    header, tensors = _parts(data)
    stated = header.get("__metadata__", {}).get(CHECKSUM)
    if stated is not None and stated != _digest(header, tensors):
        raise FormatError(
            f"{name} is damaged: its checksum differs from its content; copy the file again, or "
            "make it anew"
        )


def without_seal(header: dict[str, Any]) -> dict[str, Any]:
    """Return a header without the checksum: files with and without one are told equal by it."""
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or CHECKSUM not in metadata:
        return header
    return {**header, "__metadata__": {k: v for k, v in metadata.items() if k != CHECKSUM}}


def _parts(data: bytes) -> tuple[dict[str, Any], memoryview]:
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), memoryview(data)[8 + size :]


def _digest(header: dict[str, Any], tensors: memoryview) -> str:
    digest = hashlib.sha256(_in_order(without_seal(header)))
    digest.update(tensors)
    return digest.hexdigest()


def _in_order(header: dict[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
