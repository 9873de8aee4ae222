"""What turns an image into a backbone's input: size, crop, interpolation, mean and std.

The way has two halves. Cutting and resizing need the picture, so loader processes and threads do
them, and what they hand on is bytes. Scaling the bytes is arithmetic on whole batches, so the
device of the network does it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
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

    def pixels(self, augment: Augmentation = "none") -> ToPixels:
        """Build the function from an image to the bytes that `scale` takes.

        Parameters
        ----------
        augment : {"none", "flip", "crop-flip"}
            "none" is what encoding uses; "flip" adds a random horizontal flip, "crop-flip" also
            a random resized crop.
        """
        if augment not in AUGMENTATIONS:
            raise InvalidInputError(
                f"augment={augment!r}; expected one of {', '.join(AUGMENTATIONS)}"
            )
        steps = create_transform(
            input_size=self.size,
            interpolation=self.interpolation,
            mean=self.mean,
            std=self.std,
            crop_pct=self.crop_pct,
            crop_mode=self.crop_mode,
        ).transforms
        return ToPixels(
            mode="L" if self.size[0] == 1 else "RGB",
            size=(self.size[1], self.size[2]),
            fit=tuple(steps[:-2]),  # what is left out is `scale`
            resample=Image.Resampling[self.interpolation.upper()],
            augment=augment,
        )

    def scale(self, pixels: torch.Tensor) -> torch.Tensor:
        """Turn bytes into the network's input, where the bytes are.

        Parameters
        ----------
        pixels : Tensor of uint8, shape (n, height, width, channels)

        Returns
        -------
        Tensor of float32, shape (n, channels, height, width)
            In the layout of `pixels` (channels_last): nothing is copied to another order.
        """
        shape = (1, -1, 1, 1)
        mean = torch.tensor(self.mean, device=pixels.device).view(shape)
        std = torch.tensor(self.std, device=pixels.device).view(shape)
        return pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255).sub_(mean).div_(std)

    def transform(self) -> Transform:
        """Build the function from one image to the backbone's input, as encoding makes it."""
        pixels = self.pixels()
        return lambda image: self.scale(torch.from_numpy(pixels(image))[None])[0].contiguous()


@dataclass(frozen=True)
class ToPixels:
    """Image to bytes; a class, because loader processes that are spawned must pickle it.

    Attributes
    ----------
    mode : str
        Pillow's, of the result.
    size : tuple of int
        Height and width of the result.
    fit : tuple of callable
        Resizing and cropping without chance, timm's own.
    resample : PIL.Image.Resampling
        Of a random crop.
    augment : {"none", "flip", "crop-flip"}
    """

    mode: str
    size: tuple[int, int]
    fit: tuple[Callable[[Image.Image], Image.Image], ...]
    resample: Image.Resampling
    augment: Augmentation

    def __call__(
        self, image: Image.Image, chance: np.random.Generator | None = None, flip: bool = False
    ) -> NDArray[np.uint8]:
        """Return the bytes, (height, width, channels).

        Parameters
        ----------
        image : PIL.Image.Image
        chance : numpy Generator, optional
            Draws the crop of "crop-flip".
        flip : bool
            Whether left becomes right.
        """
        image = _without_far_ends(image)
        if image.mode != self.mode:
            image = image.convert(self.mode)
        if self.augment == "crop-flip" and chance is not None:
            image = self._random_crop(image, chance)
        else:
            for step in self.fit:
                image = step(image)
        # A copy that belongs to numpy: torch wants to be able to write to it.
        pixels = np.array(image)
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        return np.ascontiguousarray(pixels[:, ::-1]) if flip else pixels

    def _random_crop(self, image: Image.Image, chance: np.random.Generator) -> Image.Image:
        """Cut 8 to 100 % of the area at a ratio of 3/4 to 4/3 (Szegedy et al. 2015, sec. 6)."""
        width, height = image.size
        low, high = math.log(3 / 4), math.log(4 / 3)
        for _ in range(10):
            area = width * height * chance.uniform(0.08, 1.0)
            ratio = math.exp(chance.uniform(low, high))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                break
        else:  # the largest part of the middle that the ratios allow
            w = min(width, round(height * 4 / 3))
            h = min(height, round(width * 4 / 3))
        left = int(chance.integers(0, width - w + 1))
        top = int(chance.integers(0, height - h + 1))
        box = (left, top, left + w, top + h)
        return image.crop(box).resize((self.size[1], self.size[0]), self.resample)


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
