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

from h2q._progress import in_lines
from h2q._signals import leave_signals_to_the_parent
from h2q.errors import InvalidInputError
from h2q.learning.backbones import Preprocessing
from h2q.learning.backbones.resizing import BatchCut

if TYPE_CHECKING:
    from h2q.datasets import Items
    from h2q.datasets.sources import ImageSource

#: "32": float32 everywhere. "tf32": float32 of which tensor cores read 10 bits of the mantissa
#: (NVIDIA GPUs; elsewhere as "32"). "16" and "bf16": 16 bits in the layers that stand it.
Precision = Literal["32", "tf32", "16", "bf16"]


class Model(Protocol):
    """A module that knows what makes an image its input."""

    @property
    def preprocessing(self) -> Preprocessing | None:
        """None if the input is rows of features."""
        ...

    @property
    def precision(self) -> Precision:
        """In which its rows are computed, for whatever purpose."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """As `nn.Module.parameters`."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """As `nn.Module.modules`."""
        ...


class ItemInputs(Dataset[torch.Tensor]):
    """What the network's input is made from: the bytes of an image, or a row of features."""

    def __init__(self, items: Items, preprocessing: Preprocessing | None) -> None:
        if preprocessing is None:
            features_of(items)
        else:
            images_of(items)
        self.items = items
        self.pixels = preprocessing.pixels() if preprocessing else None

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.pixels is None:
            return torch.as_tensor(features_of(self.items)[index], dtype=torch.float32)
        return torch.from_numpy(self.pixels(images_of(self.items)[index]))


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
    """Choose how many processes read images: none for few, else cores - 1, at most sixteen."""
    if n_items < 512:
        return 0
    return min(16, len(os.sched_getaffinity(0)) - 1)


def default_batch(device: torch.device) -> int:
    """Choose how many items make a batch: enough to fill the device."""
    return 256 if device.type == "cuda" else 64


@contextlib.contextmanager
def computing_in(device: torch.device, precision: Precision) -> Iterator[None]:
    """Compute in `precision` within the block, whatever torch is set to outside of it.

    PyTorch lets convolutions on NVIDIA GPUs use TF32 unless it is told not to.
    """
    if precision not in get_args(Precision):
        raise InvalidInputError(
            f"precision={precision!r}; expected one of {', '.join(get_args(Precision))}"
        )
    dtype = torch.float16 if precision == "16" else torch.bfloat16
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = precision != "32"
    try:
        with torch.autocast(device.type, dtype, enabled=precision in ("16", "bf16")):
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def to_input(batch: torch.Tensor, preprocessing: Preprocessing | None) -> torch.Tensor:
    """Turn bytes (n, h, w, c) into the network's input; rows of features are it already."""
    if batch.dtype == torch.uint8 and preprocessing is not None:
        return preprocessing.scale(batch)
    return batch


def run(
    model: Model,
    function: Callable[[torch.Tensor], torch.Tensor],
    items: Items,
    *,
    batch_size: int | None = None,
    num_workers: int | None = None,
    precision: Precision | None = None,
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
    device = _device(model)
    batches = batches_of(
        items,
        model.preprocessing,
        batch_size=default_batch(device) if batch_size is None else batch_size,
        num_workers=num_workers,
        description=description,
        device=device,
    )
    return run_batches(model, function, batches, precision=precision)


def batches_of(
    items: Items,
    preprocessing: Preprocessing | None,
    *,
    batch_size: int = 256,
    num_workers: int | None = None,
    description: str | None = None,
    device: torch.device | None = None,
) -> Iterator[torch.Tensor]:
    """Yield the bytes of images, or rows of features, in order, read by several processes.

    Small images in memory are resized on the device, where that is a GPU.
    """
    dataset = ItemInputs(items, preprocessing)
    size = _at_least_one(batch_size)
    on_gpu = device is not None and device.type == "cuda"
    pixels = getattr(items.images, "pixels", None)
    if on_gpu and device is not None and dataset.pixels is not None and pixels is not None:
        cut = BatchCut.made(dataset.pixels, pixels, device)
        if cut is not None:
            with _progress(description, len(items)) as advance:
                for start in range(0, len(items), size):
                    batch = cut(slice(start, start + size))
                    yield batch
                    advance(len(batch))
            return
    if num_workers is None:
        num_workers = 0 if preprocessing is None else default_workers(len(items))
    loader = DataLoader(
        dataset,
        batch_size=size,
        num_workers=num_workers,
        pin_memory=on_gpu,
        worker_init_fn=leave_signals_to_the_parent,
        generator=torch.Generator().manual_seed(0),  # keeps off the global one
    )
    with _progress(description, len(items)) as advance:
        for batch in loader:
            yield batch
            advance(len(batch))


def run_images(
    model: Model,
    function: Callable[[torch.Tensor], torch.Tensor],
    images: Iterable[Image.Image],
    *,
    batch_size: int = 64,
    precision: Precision | None = None,
) -> NDArray[np.float32]:
    """Apply `function` to images; no more than `batch_size` of them are held at a time."""
    if model.preprocessing is None:
        raise InvalidInputError("this model takes rows of features, not images")
    pixels = model.preprocessing.pixels()
    iterator = iter(images)
    size = _at_least_one(batch_size)
    batches = (
        torch.from_numpy(np.stack(batch))
        for batch in iter(lambda: [pixels(i) for i in itertools.islice(iterator, size)], [])
    )
    return run_batches(model, function, batches, precision=precision)


def run_batches(
    model: Model,
    function: Callable[[torch.Tensor], torch.Tensor],
    batches: Iterable[torch.Tensor],
    *,
    precision: Precision | None = None,
) -> NDArray[np.float32]:
    """Apply `function` to batches of bytes or rows."""
    device = _device(model)
    rows: list[NDArray[np.float32]] = []
    ahead: torch.Tensor | None = None  # the device computes it while the next batch is prepared
    chosen = model.precision if precision is None else precision
    with _evaluating(model), torch.inference_mode(), computing_in(device, chosen):
        for batch in batches:
            x = to_input(batch.to(device, non_blocking=True), model.preprocessing)
            found = function(x).float()
            if ahead is not None:
                rows.append(ahead.cpu().numpy())
            ahead = found
        if ahead is not None:
            rows.append(ahead.cpu().numpy())
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
    """Set evaluation mode and channels_last weights, each module's mode put back afterwards.

    Convolutions on channels_last are 1.5 to 2.5 x faster on CPU, and no slower on GPUs.
    """
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
    if not console.is_terminal:
        done = 0

        def advance(n: int) -> None:
            nonlocal done
            done += n
            lines(done, total)

        with in_lines(description) as lines:
            lines(done, total)
            yield advance
        return
    with Progress(console=console) as bar:
        task = bar.add_task(description, total=total)
        yield lambda n: bar.advance(task, n)


def _device(model: Model) -> torch.device:
    return next(iter(model.parameters())).device


def _at_least_one(batch_size: int) -> int:
    if batch_size < 1:
        raise InvalidInputError(f"batch_size must be at least 1, got {batch_size}")
    return batch_size
