"""Items that come in several requests and are stored together, all or none."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q.collections.base import Id, Payload
from h2q.errors import InvalidInputError
from h2q.serving.schemas import UploadIn

#: Uploads under way at once; an idle one is given up after so many seconds.
_MOST: Final = 8
_PATIENCE: Final = 600.0
#: An upload, and all that wait together, may be so many times as large as one request.
_REQUESTS: Final = 32


@dataclass(frozen=True)
class Part:
    """Items of one request, as `h2q.collections.Collection.add` takes them."""

    ids: list[Id]
    codes: NDArray[Any] | None
    embeddings: NDArray[Any] | None
    payloads: Sequence[Payload | None] | None


class Uploads:
    """Parts that wait for their last; its methods may be called from many threads.

    Parameters
    ----------
    max_body : int
        Bytes of a request at most; an upload has at most 32 times as many, and so have all
        uploads that wait.
    """

    def __init__(self, max_body: int) -> None:
        self._most = _REQUESTS * max_body
        self._parts: dict[str, tuple[float, list[Part], int]] = {}
        self._lock = threading.Lock()

    def take(self, upload: UploadIn, part: Part, size: int) -> Part | None:
        """Put a part with those before it; return all of them once it is the last.

        Parameters
        ----------
        upload : UploadIn
        part : Part
        size : int
            Bytes of the request.

        Raises
        ------
        InvalidInputError
            If a part is missing, or there are too many; what came before is forgotten then.
        """
        now = time.monotonic()
        with self._lock:
            self._parts = {
                token: held for token, held in self._parts.items() if now - held[0] < _PATIENCE
            }
            _, parts, held = self._parts.pop(upload.token, (now, [], 0))
            if upload.part != len(parts):
                raise InvalidInputError(
                    f"part {upload.part} of an upload of which {len(parts)} parts are here; "
                    "nothing was stored, begin again"
                )
            waiting = sum(bytes_held for _, _, bytes_held in self._parts.values())
            if parts and waiting + held + size > self._most and held + size <= self._most:
                raise InvalidInputError("too many uploads are under way; begin again later")
            if held + size > self._most:
                raise InvalidInputError(
                    f"one call may add {self._most:,} bytes; nothing was stored, add in several "
                    "calls, or start the server with --max-body"
                )
            parts.append(part)
            if upload.last:
                return _joined(parts)
            if len(self._parts) >= _MOST:
                raise InvalidInputError("too many uploads are under way; begin again later")
            self._parts[upload.token] = (now, parts, held + size)
            return None


def _joined(parts: list[Part]) -> Part:
    first = parts[0]
    for part in parts[1:]:
        for name in ("codes", "embeddings", "payloads"):
            if (getattr(part, name) is None) != (getattr(first, name) is None):
                raise InvalidInputError(f"some parts of the upload have {name}, others have none")
    return Part(
        [item_id for part in parts for item_id in part.ids],
        _stacked([part.codes for part in parts], "codes"),
        _stacked([part.embeddings for part in parts], "embeddings"),
        None
        if first.payloads is None
        else [payload for part in parts for payload in part.payloads or ()],
    )


def _stacked(arrays: list[NDArray[Any] | None], name: str) -> NDArray[Any] | None:
    held = [array for array in arrays if array is not None]
    if not held:
        return None
    if any(
        a.shape[1:] != held[0].shape[1:] or a.dtype != held[0].dtype or a.ndim < 1 for a in held
    ):
        raise InvalidInputError(f"the {name} of the parts of the upload differ in shape or type")
    return np.concatenate(held)
