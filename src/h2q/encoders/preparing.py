"""From an image to a network's input, without torch; its settings travel as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.errors import FormatError, InvalidInputError

Layout = Literal["NCHW", "NHWC"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

_FILTERS: Final = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
#: Pillow's numbers of the filters, as Hugging Face's files have them.
_BY_NUMBER: Final = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
#: A drafted JPEG keeps at least so many times the pixels a side that the resize makes of it.
_DRAFT_GAP: Final = 2


@dataclass(frozen=True)
class Preparing:
    """Resize, crop, normalise.

    Attributes
    ----------
    size : tuple of int
        Height and width of the input.
    resize : int or None
        The shorter side is brought to so many pixels and the middle is cropped to `size`. None
        squashes the whole image to `size`: proportions are not kept.
    interpolation : {"nearest", "bilinear", "bicubic", "lanczos"}
    mean, std : tuple of float
        One a channel; pixels in [0, 1] become (pixel - mean) / std. Not for `dtype` "uint8".
    layout : {"NCHW", "NHWC"}
        Channels before or after height and width.
    dtype : {"float32", "uint8"}
        "uint8" hands over the bytes of the pixels; the network normalises them itself.
    channels : {3, 1}
        1 is greyscale.
    """

    size: tuple[int, int] = (224, 224)
    resize: int | None = 256
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    layout: Layout = "NCHW"
    dtype: Literal["float32", "uint8"] = "float32"
    channels: Literal[1, 3] = 3

    def __post_init__(self) -> None:
        numbers = (*self.size, *([] if self.resize is None else [self.resize]))
        if len(self.size) != 2 or not all(isinstance(n, int) and 0 < n <= 4096 for n in numbers):
            raise InvalidInputError(f"size={self.size}, resize={self.resize}: pixels, 1 to 4096")
        if self.interpolation not in _FILTERS:
            raise InvalidInputError(
                f"interpolation={self.interpolation!r}; expected one of {', '.join(_FILTERS)}"
            )
        if self.layout not in get_args(Layout):
            raise InvalidInputError(f"layout={self.layout!r}; expected NCHW or NHWC")
        if self.dtype not in ("float32", "uint8") or self.channels not in (1, 3):
            raise InvalidInputError(
                f"dtype={self.dtype!r}, channels={self.channels!r}; expected float32 or uint8, "
                "and 3 or 1"
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise InvalidInputError(f"{name}={values}: one number a channel")
        if not all(np.isfinite(v) for v in self.mean) or not all(v > 0 for v in self.std):
            raise InvalidInputError(f"mean={self.mean}, std={self.std}: finite, and std above 0")

    @property
    def draft_side(self) -> int:
        """Shorter side, in pixels, above which a JPEG may be decoded at a fraction of its size.

        Twice what the resize needs, so that the resize still does the smoothing.
        """
        return _DRAFT_GAP * (self.resize or max(self.size))

    def __call__(self, image: Image.Image) -> NDArray[Any]:
        """Make the input of an image: (channels, height, width), or as `layout` says.

        Only the part that is kept is resized, so a picture of extreme proportions costs no more
        than another.
        """
        mode = "RGB" if self.channels == 3 else "L"
        image = image if image.mode == mode else image.convert(mode)
        height, width = self.size
        box = self._box(*image.size)
        resized = image.resize((width, height), _FILTERS[self.interpolation], box=box)
        pixels: NDArray[Any] = np.asarray(resized)
        if self.channels == 1:
            pixels = pixels[:, :, None]
        if self.dtype == "float32":
            mean = np.asarray(self.mean, dtype=np.float32)
            std = np.asarray(self.std, dtype=np.float32)
            pixels = (pixels.astype(np.float32) / np.float32(255) - mean) / std
        return pixels if self.layout == "NHWC" else pixels.transpose(2, 0, 1)

    def _box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return what of the image is kept, in its own pixels."""
        if self.resize is None:
            return (0, 0, width, height)
        scale = min(width, height) / self.resize
        # A crop above the resize takes what there is.
        kept_w, kept_h = min(self.size[1] * scale, width), min(self.size[0] * scale, height)
        left, top = (width - kept_w) / 2, (height - kept_h) / 2
        return (left, top, min(left + kept_w, width), min(top + kept_h, height))

    def to_dict(self) -> dict[str, Any]:
        """Values that JSON can hold."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], name: str = "preprocessing") -> Preparing:
        """Read settings: ours (`to_dict`), or those of a Hugging Face `preprocessor_config.json`.

        Raises
        ------
        FormatError
            If a setting is unknown or cannot be used.
        """
        try:
            if "image_mean" in values or "crop_size" in values or "do_resize" in values:
                values = _from_hugging_face(values)
            known: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in values.items()
            }
            return cls(**known)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            fields = ", ".join(cls.__dataclass_fields__)
            raise FormatError(f"{name}: {error}; it may hold {fields}") from error

    @classmethod
    def from_file(cls, path: StrPath) -> Preparing:
        """Read settings from a JSON file."""
        try:
            values = json.loads(as_path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise FormatError(f"{path}: no preprocessing in JSON ({error})") from error
        if not isinstance(values, dict):
            raise FormatError(f"{path}: expected one JSON object")
        return cls.from_dict(values, str(path))


def _from_hugging_face(values: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a `preprocessor_config.json` of an image model."""
    size, crop = values.get("size"), values.get("crop_size")
    resize: int | None = None
    if isinstance(size, int):
        resize = size
    elif isinstance(size, Mapping) and "shortest_edge" in size:
        resize = int(size["shortest_edge"])
    if values.get("do_center_crop") and crop is not None:
        target = _sides(crop)
        if resize is None:  # squashed to the size of which the middle is cropped: not told apart
            resize = min(_sides(size)) if size is not None else min(target)
    elif resize is not None and not isinstance(size, int):
        raise ValueError("a shortest edge without a centre crop gives inputs of many sizes")
    else:
        target, resize = _sides(size), None
    if (
        values.get("do_rescale", True)
        and abs(values.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-3
    ):
        raise ValueError(f"rescale_factor={values['rescale_factor']} is not 1/255")
    plain = not values.get("do_normalize", True)
    return {
        "size": target,
        "resize": resize,
        "interpolation": _BY_NUMBER[int(values.get("resample", 2))],
        "mean": (0.0,) * 3 if plain else tuple(values["image_mean"]),
        "std": (1.0,) * 3 if plain else tuple(values["image_std"]),
    }


def _sides(size: Any) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    return int(size["height"]), int(size["width"])
