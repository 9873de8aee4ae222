"""A loss of one's own: by the name of its code, tried before anything is learned with it."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from torch import nn

from h2q._own_code import code_name, import_code
from h2q.errors import InvalidInputError
from h2q.learning.losses import _registry
from h2q.learning.losses.metric_learning import MetricLearningLoss, is_of_metric_learning
from h2q.learning.losses.protocol import driven_by_dataset


def create(name: str, *, n_bits: int, n_classes: int, **options: Any) -> nn.Module:
    """Make the loss ``package.module:MyLoss``; see `h2q.learning.losses.create`.

    Raises
    ------
    InvalidInputError
        If it cannot be imported or made, or gives no module.
    """
    kind = import_code(name, "loss")
    if isinstance(kind, nn.Module) or not callable(kind):
        raise InvalidInputError(
            f"the loss {name!r} is a {type(kind).__name__}; name a class, or a function that makes "
            "the module"
        )
    miner = options.pop("miner", None) if "miner" not in _parameters(kind, name) else None
    given = {"n_bits": n_bits, "n_classes": n_classes}
    try:
        loss = _registry.build(kind, name, given, options)
    except InvalidInputError:
        raise
    except Exception as error:  # somebody's code raises what it likes
        raise InvalidInputError(
            f"the loss {name!r} cannot be made ({type(error).__name__}: {error}); give its "
            "arguments by loss_options (--set loss_options.NAME=VALUE)"
        ) from error
    if not isinstance(loss, nn.Module):
        raise InvalidInputError(
            f"the loss {name!r} makes a {type(loss).__name__}; it must make a torch.nn.Module"
        )
    if miner is not None or is_of_metric_learning(loss):
        return MetricLearningLoss(loss, miner)
    return loss


def _parameters(kind: Any, name: str) -> list[str]:
    try:
        return list(inspect.signature(kind).parameters)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"the loss {name!r} has no signature ({error})") from error


def is_own(loss: nn.Module) -> bool:
    """Whether it is neither of h2q nor of pytorch-metric-learning."""
    return not type(loss).__module__.startswith(("h2q.", "pytorch_metric_learning."))


def name_of(loss: nn.Module) -> str:
    """Return what a config calls it: its class; where it is one's own, with its module."""
    return code_name(type(loss)) if is_own(loss) else type(loss).__name__


def check_own(loss: nn.Module, *, n_bits: int, n_classes: int) -> None:
    """Try a loss with one of somebody's own in it on a few embeddings, and leave it as it is.

    One that is driven by the data set is not tried.

    Raises
    ------
    InvalidInputError
        If it does not take embeddings (n, k) and multi-hot labels (n, c), or does not give a
        scalar with a gradient.

    Examples
    --------
    >>> check_own(nn.L1Loss(reduction="none"), n_bits=4, n_classes=4)
    Traceback (most recent call last):
    ...
    h2q.errors.InvalidInputError: the loss 'torch.nn...:L1Loss' gives a tensor of shape (8, 4); ...
    """
    inner: Any = loss
    while not is_own(inner) and isinstance(getattr(inner, "loss", None), nn.Module):
        inner = inner.loss  # penalised, squashed, of metric learning
    if not is_own(inner) or driven_by_dataset(loss):
        return
    name = name_of(inner)
    try:
        tried = copy.deepcopy(loss)
    except Exception:  # what cannot be copied cannot be tried without changing it
        return
    held = [*loss.parameters(), *loss.buffers()]
    device = held[0].device if held else torch.device("cpu")
    seeded = torch.Generator().manual_seed(0)
    rows = max(4, 2 * min(n_classes, 8))
    z = torch.randn(rows, n_bits, generator=seeded).to(device).requires_grad_()
    labels = torch.eye(n_classes, device=device)[torch.arange(rows, device=device) % n_classes]
    try:
        with torch.random.fork_rng(devices=[]):
            value = tried(z, labels)
    except Exception as error:  # somebody's code raises what it likes
        raise InvalidInputError(
            f"the loss {name!r} cannot take embeddings {tuple(z.shape)} and multi-hot labels "
            f"{tuple(labels.shape)} ({type(error).__name__}: {error})"
        ) from error
    if not isinstance(value, torch.Tensor) or value.ndim != 0:
        shape = getattr(value, "shape", None)
        what = type(value).__name__ if shape is None else f"tensor of shape {tuple(shape)}"
        raise InvalidInputError(f"the loss {name!r} gives a {what}; it must give a scalar tensor")
    if not value.requires_grad:
        raise InvalidInputError(
            f"the loss {name!r} gives a value without a gradient: compute it of the embeddings "
            "with torch alone, outside no_grad and without detach"
        )
