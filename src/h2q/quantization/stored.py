"""A quantizer that was stored: it codes at once, and becomes the whole estimator when asked."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from h2q.errors import FormatError
from h2q.quantization import serialization
from h2q.quantization.coding import Coder
from h2q.quantization.model import Model

if TYPE_CHECKING:
    from h2q.quantization.base import BaseQuantizer

#: Classes whose codes are the signs of the rotated rows, and nothing else.
_ROTATIONS: Final = frozenset(
    {"HouseholderQuantizer", "ITQQuantizer", "RandomRotationQuantizer", "SignQuantizer"}
)
#: What is asked of quantizers and these have not: answered without loading the estimator.
_NOT_OF_ROTATIONS: Final = frozenset({"_data", "feature_names_in_", "decode", "decoder_"})


def stored_quantizer(data: bytes) -> Any:
    """Read a quantizer from the bytes `to_bytes` gave, without scikit-learn where that can wait.

    Importing scikit-learn takes longer than searching a million codes with a photo; rotating and
    coding need none of it.

    Returns
    -------
    StoredQuantizer or quantizer
        To `isinstance`, `repr`, `copy` and `sklearn.clone` the estimator itself.

    Raises
    ------
    FormatError
        If the bytes are damaged, or written by a newer version.
    """
    name = "the stored quantizer"
    header, tensors = serialization.read_bytes(bytes(data), "quantizer", name)
    try:
        description = json.loads(header["quantizer"])
        plain = description["class"] in _ROTATIONS and description["feature_names_in"] is None
        if plain:
            k, d = int(description["n_bits"]), int(description["n_features_in"])
            return StoredQuantizer(bytes(data), serialization.model_of(tensors, k, d), k, d)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{name} is damaged: {type(error).__name__}: {error}") from error
    return serialization.from_bytes(data)


class StoredQuantizer(Coder):
    """A fitted rotation; what else an estimator can do is loaded when it is asked for.

    Parameters
    ----------
    data : bytes
        The file's content.
    model : Model
        What it holds.
    k, d : int
        Bits, and columns of the rows.
    """

    codes_are_signs = True

    def __init__(self, data: bytes, model: Model, k: int, d: int) -> None:
        self._data, self._model = data, model
        self.n_bits_, self.n_features_in_ = k, d

    def _fitted(self) -> Model:
        return self._model

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        return self._data

    @cached_property
    def estimator(self) -> BaseQuantizer:
        """The quantizer as it was saved."""
        return serialization.from_bytes(self._data)

    @property  # type: ignore[misc]  # as proxies do, for isinstance
    def __class__(self) -> Any:
        return type(self.estimator)

    def __getattr__(self, name: str) -> Any:
        hidden = name.startswith("__") and not name.startswith("__sklearn")
        if hidden or name in _NOT_OF_ROTATIONS:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.estimator, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return serialization.from_bytes, (self._data,)

    def __repr__(self) -> str:
        return repr(self.estimator)
