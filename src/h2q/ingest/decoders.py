"""The decoder of a collection: given, read from a file, or fitted by its name on what comes in."""

from __future__ import annotations

from typing import Any, Final

from h2q._files import check_not_held
from h2q._paths import as_path
from h2q.collections.base import Collection
from h2q.errors import CompatibilityError, InvalidInputError

#: Their names, as `h2q.quantization.DECODERS` has them; stated here because that imports more.
NAMES: Final = ("code", "linear")


def load_decoder(decoder: Any) -> Any:
    """Return a fitted decoder as it is, read a file, and leave a name ("code", "linear") a name.

    Raises
    ------
    InvalidInputError
        If there is no such file.
    FormatError
        If it is no decoder.
    """
    if decoder is None or hasattr(decoder, "to_bytes") or str(decoder) in NAMES:
        return decoder
    path = as_path(decoder, "the decoder")
    if not path.is_file():
        raise InvalidInputError(
            f"there is no decoder {path}; write one with `h2q fit --decoder-out`, or name one to "
            f"be fitted: {', '.join(NAMES)}"
        )
    check_not_held(path)
    from h2q.quantization import decoder_from_bytes

    return decoder_from_bytes(path.read_bytes(), str(path))


def is_name(decoder: Any) -> bool:
    """Whether what `load_decoder` returned is to be fitted."""
    return isinstance(decoder, str)


def check_kept(collection: Collection, name: str) -> None:
    """Refuse a collection whose decoder is not the one of this name.

    Raises
    ------
    CompatibilityError
        If it keeps another one, or none: it would have had to be there from the start.
    """
    from h2q.quantization import decoder_name

    kept = collection.decoder
    if kept is None or decoder_name(kept) != name:
        found = "no decoder" if kept is None else f"a {type(kept).__name__}"
        raise CompatibilityError(
            f"the collection {collection.uri} was made with {found}, and the decoder {name!r} was "
            "asked for; leave the decoder out, or make another collection"
        )
