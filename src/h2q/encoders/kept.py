"""What a collection keeps of an encoder that lives elsewhere: its name and its fingerprint.

It is kept where a trained model would be, as a safetensors file without a tensor, of the kind
"encoder".
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from h2q.errors import FormatError

#: What the header of a file of ours says it holds.
KIND: Final = "encoder"
_FORMAT_VERSION: Final = 1


@dataclass(frozen=True)
class KeptEncoder:
    """Enough to find an encoder again, and to know whether it is the same.

    Attributes
    ----------
    name : str
        As `--encoder` takes it.
    fingerprint : str
        SHA-256 (hex) of all that decides its rows.
    dimension : int
        Columns of a row.
    """

    name: str
    fingerprint: str
    dimension: int

    def to_bytes(self, n_bits: int) -> bytes:
        """Return it as a file for a collection with codes of `n_bits`: equal in, equal out."""
        metadata = {
            "format": "h2q",
            "format_version": str(_FORMAT_VERSION),
            "kind": KIND,
            KIND: json.dumps({**asdict(self), "n_bits": n_bits}, sort_keys=True),
        }
        header = json.dumps({"__metadata__": metadata}, sort_keys=True).encode()
        header += b" " * (-len(header) % 8)
        return len(header).to_bytes(8, "little") + header

    @classmethod
    def from_bytes(cls, data: bytes) -> KeptEncoder:
        """Inverse of `to_bytes`.

        Raises
        ------
        FormatError
            If it is something else, or newer than this version.
        """
        metadata = metadata_of(data)
        if metadata.get("kind") != KIND:
            raise FormatError(f"not an encoder but a {metadata.get('kind')!r}")
        if int(metadata.get("format_version", 0)) > _FORMAT_VERSION:
            raise FormatError(
                "the collection keeps an encoder in a newer format; upgrade with pip install -U h2q"
            )
        try:
            values = json.loads(metadata[KIND])
            return cls(str(values["name"]), str(values["fingerprint"]), int(values["dimension"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise FormatError(f"the encoder kept in the collection is damaged: {error}") from error


def metadata_of(data: bytes) -> dict[str, Any]:
    """Read what a safetensors file says of itself; nothing of one that is none."""
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return dict(header.get("__metadata__", {}))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}
