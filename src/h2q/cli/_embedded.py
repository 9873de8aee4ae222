"""Collections that are files, for the verbs that only those know."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from h2q.errors import InvalidInputError

if TYPE_CHECKING:
    from h2q.collections.embedded import EmbeddedCollection


def open_file(path: Path, mode: Literal["a", "r"]) -> EmbeddedCollection:
    """Open a collection that is a file; refuse the address of a server."""
    from h2q.collections.embedded import open_embedded

    if ":/" in str(path):  # a Path makes one slash of two
        raise InvalidInputError(
            f"{path}: not a file; a server's collections are copied and compacted by its own tools"
        )
    return open_embedded(path, mode=mode)
