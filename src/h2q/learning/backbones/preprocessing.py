"""What turns an image into a backbone's input: size, crop, interpolation, mean and std."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from PIL import Image
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform

from h2q.errors import InvalidInputError

#: Takes an image and gives the float32 tensor (channels, height, width) a backbone takes.
Transform = Callable[[Image.Image], torch.Tensor]

#: Longer side over shorter side above which the ends of a picture are cut off first.
_THINNEST = 32

Augmentation = Literal["none", "flip", "crop-flip"]
AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)


@dataclass(frozen=True)
class Preprocessing:
    """Each backbone has its own; it travels with the model file.

    Attributes
    ----------
    size : tuple of int
        Channels, height, width. One channel means greyscale.
    mean, std : tuple of float
        One a channel; pixels in [0, 1] become (pixel - mean) / std.
    interpolation : str
        "bilinear", "bicubic", "nearest", ...
    crop_pct : float
        The image is resized to size / crop_pct before the crop.
    crop_mode : str
        "center", "border" or "squash" (aspect ratio not kept).
    """

    size: tuple[int, int, int] = (3, 224, 224)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"
    crop_pct: float = 0.875
    crop_mode: str = "center"

    @classmethod
    def from_timm(cls, model: Any, image_size: int | None = None) -> Preprocessing:
        """Read timm's own settings of `model` (`timm.data.resolve_data_config`)."""
        resolve: Callable[..., dict[str, Any]] = resolve_data_config  # timm states no types
        found = resolve({}, model=model)
        size = tuple(found["input_size"])
        if image_size is not None:
            size = (size[0], image_size, image_size)
        return cls(
            size=size,
            mean=tuple(float(m) for m in found["mean"]),
            std=tuple(float(s) for s in found["std"]),
            interpolation=str(found["interpolation"]),
            crop_pct=float(found["crop_pct"]),
            crop_mode=str(found["crop_mode"]),
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        """Inverse of `to_dict`."""
        tuples = {key: tuple(values[key]) for key in ("size", "mean", "std")}
        return cls(**{**values, **tuples})

    def to_dict(self) -> dict[str, Any]:
        """Values that JSON can hold."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    def transform(self, augment: Augmentation = "none") -> Transform:
        """Build the function from an image to the backbone's input.

        Parameters
        ----------
        augment : {"none", "flip", "crop-flip"}
            "none" is what encoding uses; "flip" adds a random horizontal flip, "crop-flip" also
            a random resized crop. Random numbers come from torch's global generator.
        """
        from torchvision.transforms import v2

        if augment not in AUGMENTATIONS:
            raise InvalidInputError(
                f"augment={augment!r}; expected one of {', '.join(AUGMENTATIONS)}"
            )
        mode = "L" if self.size[0] == 1 else "RGB"
        steps = create_transform(
            input_size=self.size,
            interpolation=self.interpolation,
            mean=self.mean,
            std=self.std,
            crop_pct=self.crop_pct,
            crop_mode=self.crop_mode,
        ).transforms
        if augment == "crop-flip":
            how = v2.InterpolationMode(self.interpolation)
            # in place of timm's resize and crop; tensor and normalisation stay
            steps = [v2.RandomResizedCrop(self.size[1:], interpolation=how), *steps[2:]]
        if augment != "none":
            steps = [v2.RandomHorizontalFlip(), *steps]
        return _ToInput(mode, v2.Compose(steps))


@dataclass(frozen=True)
class _ToInput:
    """Image to tensor; a class, because loader processes that are spawned must pickle it."""

    mode: str
    pixels: Callable[[Image.Image], torch.Tensor]

    def __call__(self, image: Image.Image) -> torch.Tensor:
        image = _without_far_ends(image)
        return self.pixels(image if image.mode == self.mode else image.convert(self.mode))


def _without_far_ends(image: Image.Image) -> Image.Image:
    """Cut a picture of extreme proportions to its middle, which is all that a crop would keep.

    A line of 1 x 400,000 pixels, with its shorter side brought to 256, would take 78 GB.
    """
    width, height = image.size
    longest = _THINNEST * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    return image.crop((left, top, left + min(width, longest), top + min(height, longest)))
