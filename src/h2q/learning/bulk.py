"""Many items through a network: loader, layout and precision that suit the hardware."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from h2q.errors import InvalidInputError
from h2q.learning.backbones import Preprocessing
from h2q.learning.backbones.preprocessing import Transform

if TYPE_CHECKING:
    from h2q.datasets import Items
    from h2q.datasets.sources import ImageSource

Precision = Literal["auto", "32", "bf16"]


class Model(Protocol):
    """A module that knows what makes an image its input."""

    @property
    def preprocessing(self) -> Preprocessing | None:
        """None if the input is rows of features."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """As `nn.Module.parameters`."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """As `nn.Module.modules`."""
        ...


class ItemInputs(Dataset[torch.Tensor]):
    """The network's input for each item: a transformed image, or a row of features."""

    def __init__(self, items: Items, preprocessing: Preprocessing | None) -> None:
        if preprocessing is None:
            features_of(items)
        else:
            images_of(items)
        self.items = items
        self.transform: Transform | None = preprocessing.transform() if preprocessing else None

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.transform is None:
            return torch.as_tensor(features_of(self.items)[index], dtype=torch.float32)
        return self.transform(images_of(self.items)[index])


def features_of(items: Items) -> NDArray[np.float32]:
    """Return the rows a backbone "features" takes, or raise `InvalidInputError`."""
    if items.features is None:
        raise InvalidInputError(
            "the backbone 'features' takes precomputed features, but the items hold images; "
            "choose a backbone that takes images (h2q train --list backbones)"
        )
    return items.features


def images_of(items: Items) -> ImageSource:
    """Return the images a backbone takes, or raise `InvalidInputError`."""
    if items.images is None:
        raise InvalidInputError(
            "this backbone takes images, but the items hold precomputed features; "
            "use backbone='features'"
        )
    return items.images


def default_workers(n_items: int) -> int:
    """Choose how many processes read images: none for few, else cores - 1, at most eight."""
    if n_items < 512:
        return 0
    return min(8, len(os.sched_getaffinity(0)) - 1)


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[None]:
    """bf16 where it is asked for, or, for "auto", where the hardware computes in it.

    Processors without AVX512-BF16 or AMX emulate bf16, which is slower than float32.
    """
    if precision not in get_args(Precision):
        raise InvalidInputError(
            f"precision={precision!r}; expected one of {', '.join(get_args(Precision))}"
        )
    wanted = has_bf16(device) if precision == "auto" else precision == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


def has_bf16(device: torch.device) -> bool:
    """Whether `device` computes in bf16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def run(
    model: Model,
    function: Callable[[torch.Tensor], torch.Tensor],
    items: Items,
    *,
    batch_size: int = 64,
    num_workers: int | None = None,
    precision: Precision = "auto",
    description: str | None = None,
) -> NDArray[np.float32]:
    """Apply `function`, a method of `model`, to every item in evaluation mode.

    Parameters
    ----------
    model : module
        Gives the device, the mode and the preprocessing.
    function : callable
        Batch to rows, e.g. `hasher.embed`.
    items : Items
        What to run over.
    batch_size, num_workers, precision
        See `Hasher.embed_items`.
    description : str, optional
        Title of a progress bar on stderr; no bar if None.

    Returns
    -------
    ndarray of float32, shape (n, columns of `function`)
    """
    dataset = ItemInputs(items, model.preprocessing)
    if num_workers is None:
        num_workers = 0 if model.preprocessing is None else default_workers(len(items))
    loader = DataLoader(
        dataset,
        batch_size=_at_least_one(batch_size),
        num_workers=num_workers,
        pin_memory=_device(model).type == "cuda",
    )
    with _progress(description, len(items)) as advance:
        return run_batches(model, function, loader, precision=precision, advance=advance)


def run_images(
    model: Model,
    function: Callable[[torch.Tensor], torch.Tensor],
    images: Iterable[Image.Image],
    *,
    batch_size: int = 64,
    precision: Precision = "auto",
) -> NDArray[np.float32]:
    """Apply `function` to images; no more than `batch_size` of them are held at a time."""
    if model.preprocessing is None:
        raise InvalidInputError("this model takes rows of features, not images")
    transform = model.preprocessing.transform()
    iterator = iter(images)
    size = _at_least_one(batch_size)
    batches = (
        torch.stack(batch)
        for batch in iter(lambda: [transform(i) for i in itertools.islice(iterator, size)], [])
    )
    return run_batches(model, function, batches, precision=precision)


def run_batches(
    model: Model,
    function: Callable[[torch.Tensor], torch.Tensor],
    batches: Iterable[torch.Tensor],
    *,
    precision: Precision = "auto",
    advance: Callable[[int], None] = lambda n: None,
) -> NDArray[np.float32]:
    """Apply `function` to batches of inputs; `advance` is told how many items each one held."""
    device = _device(model)
    rows: list[NDArray[np.float32]] = []
    with _evaluating(model), torch.inference_mode(), autocast(device, precision):
        for batch in batches:
            # Convolutions on channels_last are 1.5 to 2.5 x faster on CPU, and no slower on GPUs.
            layout = torch.channels_last if batch.ndim == 4 else torch.preserve_format
            x = batch.to(device, non_blocking=True, memory_format=layout)
            rows.append(function(x).float().cpu().numpy())
            advance(len(batch))
    if rows:
        return np.concatenate(rows)
    return np.zeros((0, _columns(model, function)), dtype=np.float32)


def _columns(model: Model, function: Callable[[torch.Tensor], torch.Tensor]) -> int:
    size = model.preprocessing.size if model.preprocessing else None
    width = next(iter(model.parameters())).shape[-1]
    with _evaluating(model), torch.inference_mode():
        probe = torch.zeros((1, *size) if size else (1, width), device=_device(model))
        return int(function(probe).shape[1])


@contextlib.contextmanager
def _evaluating(model: Model) -> Iterator[None]:
    """Set evaluation mode and channels_last weights, each module's mode put back afterwards."""
    training = [module for module in model.modules() if module.training]
    for module in model.modules():
        module.training = False
    if isinstance(model, nn.Module) and model.preprocessing is not None:
        model.to(memory_format=torch.channels_last)
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextlib.contextmanager
def _progress(description: str | None, total: int) -> Iterator[Callable[[int], None]]:
    if description is None:
        yield lambda n: None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)
        yield lambda n: bar.advance(task, n)


def _device(model: Model) -> torch.device:
    return next(iter(model.parameters())).device


def _at_least_one(batch_size: int) -> int:
    if batch_size < 1:
        raise InvalidInputError(f"batch_size must be at least 1, got {batch_size}")
    return batch_size
