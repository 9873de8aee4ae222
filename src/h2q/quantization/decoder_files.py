"""Decoders as files: safetensors, with what they are in the header."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from h2q._files import write_whole
from h2q._foreign import reading
from h2q._seal import sealed
from h2q._typing import StrPath
from h2q.errors import FormatError
from h2q.quantization.serialization import FORMAT, FORMAT_VERSION, read_bytes


class DecoderFile:
    """A fitted decoder that is saved; `h2q.load` reads it back.

    A subclass says what it holds in `_content` and takes it in again in `_of_content`.
    """

    @abstractmethod
    def _content(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Return arrays and words; raise `NotFittedError` where there is nothing to save."""

    @classmethod
    @abstractmethod
    def _of_content(cls, tensors: dict[str, NDArray[Any]], header: dict[str, str]) -> Self:
        """Make a decoder of what `_content` gave; ValueError or KeyError if it is damaged."""

    def to_bytes(self) -> bytes:
        """Return the fitted decoder as the content of a safetensors file."""
        tensors, words = self._content()
        metadata = {"format": FORMAT, "format_version": str(FORMAT_VERSION), "kind": "decoder"}
        return sealed(safetensors.numpy.save(tensors, metadata | words))

    def save(self, path: StrPath) -> None:
        """Write the fitted decoder to `path`, whole or not at all; `h2q.load` reads it."""
        write_whole(path, self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "the stored decoder") -> Self:
        """Read what `to_bytes` gave; `name` is what errors call it.

        Raises
        ------
        FormatError
            If it is truncated, damaged, or not such a decoder.
        """
        header, tensors = read_bytes(data, "decoder", name)
        for key, array in tensors.items():
            if array.dtype != np.float32 or not np.isfinite(array).all():
                raise FormatError(f"{name} is damaged: {key} should be finite float32 numbers")
        with reading(name, "a decoder"):
            return cls._of_content(tensors, header)
