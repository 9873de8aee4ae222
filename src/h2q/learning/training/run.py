"""Train a `Hasher`: both stages, one run folder."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from h2q._own_code import code_name
from h2q._signals import ended_by_sigterm
from h2q._typing import StrPath
from h2q.errors import InvalidInputError
from h2q.learning import backbones, losses, model_file, penalties
from h2q.learning.backbones import Backbone, Maker
from h2q.learning.bulk import default_workers
from h2q.learning.config import TrainConfig
from h2q.learning.hasher import Hasher
from h2q.learning.training import report, stage2
from h2q.learning.training.feature_cache import FeatureCache
from h2q.learning.training.run_folder import RunFolder, identity_of
from h2q.learning.training.sampler import Order, drawn_by, rows_of, seed_all
from h2q.learning.training.sources import Sources, make_sources

if TYPE_CHECKING:
    from h2q.datasets import Dataset


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What a run gave.

    Attributes
    ----------
    model : Hasher
        Weights of the best epoch, with the rotation; on the CPU, ready to encode.
    run_dir : Path
        The run folder.
    best_validation_map : float
        mAP of the best epoch, cosine ranking of validation items against training items.
    history : list of dict
        One an epoch: epoch, loss, validation_map, learning_rate, seconds.
    """

    model: Hasher
    run_dir: Path
    best_validation_map: float
    history: list[dict[str, float]]


def fit(
    dataset: Dataset,
    *,
    out: StrPath,
    config: TrainConfig | None = None,
    backbone: str | nn.Module | Maker | None = None,
    loss: str | nn.Module | None = None,
    miner: nn.Module | None = None,
    sampler: Iterable[int] | None = None,
    feature_cache: StrPath | None = None,
    resume: bool = True,
    progress: bool = True,
    **options: Any,
) -> TrainingResult:
    """Train a hash layer, and the backbone unless it is frozen; then fit the rotation.

    A killed run goes on from its last whole epoch when `fit` is called again with the same
    arguments, and ends with the same weights as if it had not been killed (on GPUs only with
    `deterministic=True`: their sums come in any order). SIGTERM and Ctrl-C end it cleanly. A
    finished run is loaded. The global generators of torch, numpy and `random` are seeded.

    Parameters
    ----------
    dataset : h2q.datasets.Dataset
        `train` is learned from, `validation` decides when to stop (a tenth of `train`, if the
        data set has none); queries and database are not looked at.
    out : path-like
        Run folder, made if it is absent.
    config : TrainConfig, optional
        How to train; `options` change single values of it.
    backbone : str, nn.Module, class or function, optional
        Name; or a backbone made with `h2q.learning.backbones.create`; or a module of one's own,
        or what makes one (`h2q.learning.backbones.own`): ``package.module:Name`` as a str. A module
        is trained in place; the model of the result is another.
    loss : str or nn.Module, optional
        Name (``package.module:MyLoss`` for one's own), or any module
        ``loss(embeddings (n, k), multi-hot labels (n, c)) -> scalar``, or a loss of
        pytorch-metric-learning as it is.
    miner : nn.Module, optional
        A miner of pytorch-metric-learning, for a loss of that library.
    sampler : iterable of int, optional
        Draws the order of an epoch, e.g. pytorch-metric-learning's `MPerClassSampler`.
    feature_cache : path-like, optional
        Where the features of a frozen backbone are kept; several runs may share it.
    resume : bool
        Go on where the folder's run was; False starts over.
    progress : bool
        Bars on stderr, where that is a terminal.
    **options
        Names and values of `TrainConfig`: n_bits, epochs, batch_size, learning_rate,
        freeze_backbone, quantizer, precision, devices, patience, random_state, ...

    Returns
    -------
    TrainingResult

    Raises
    ------
    InvalidInputError
        Before anything is learned: for an unknown option, a backbone that does not fit the items
        or could not be saved, a loss that gives no scalar with a gradient, weights that cannot be
        had, or a folder that holds another run.

    Examples
    --------
    >>> from h2q.datasets import load_dataset
    >>> result = fit(load_dataset("digits"), out="runs/digits", backbone="digits-cnn",
    ...              n_bits=32, epochs=20)  # doctest: +SKIP
    """
    settings = _settings(config, dataset, backbone, loss, options)
    seed_all(settings.random_state)
    built = _backbone(dataset, settings, backbone)
    make = None
    if isinstance(built, backbones.OwnBackbone):
        make = built.make
        settings = settings.with_options(backbone_options=built.options)
    hasher = Hasher(built, settings.n_bits, precision=settings.embed_precision)
    model_file.check_round_trip(hasher)
    criterion = _criterion(dataset, settings, loss, miner)
    losses.check_own(criterion, n_bits=settings.n_bits, n_classes=dataset.n_classes)
    folder = RunFolder(out)
    has_checkpoint = folder.prepare(
        settings, identity_of(settings, dataset, criterion), resume=resume
    )
    if folder.model.exists():
        return _result(folder, Hasher.load(folder.model, backbone=make))
    keep = folder.features if feature_cache is None else Path(feature_cache)
    with ended_by_sigterm():
        sources = make_sources(
            dataset, hasher, settings, lambda: FeatureCache(keep, built), progress=progress
        )
        _learn(hasher, criterion, settings, sources, folder, has_checkpoint, sampler, progress)
    return _result(folder, Hasher.load(folder.model, backbone=make))


def _result(folder: RunFolder, hasher: Hasher) -> TrainingResult:
    facts = hasher.facts
    return TrainingResult(hasher, folder.path, facts["validation_map"], facts["history"])


def _learn(
    hasher: Hasher,
    loss: nn.Module,
    config: TrainConfig,
    sources: Sources,
    folder: RunFolder,
    has_checkpoint: bool,
    sampler: Iterable[int] | None,
    progress: bool,
) -> None:
    """Both stages; leaves the model file and everything beside it."""
    from h2q.learning.training.trainer import train

    n = len(sources.train)
    workers = config.num_workers
    if workers is None:
        workers = default_workers(n)
    order: Order | None = None
    driven: Any = loss
    if hasattr(loss, "on_dataset"):
        driven.on_dataset(sources.plain_batches.labels.float().cpu())
        order = rows_of(driven.epoch_rows, n, config.random_state)
    elif sampler is not None:
        order = drawn_by(sampler, config.random_state)
    with _quiet():
        trained = train(
            hasher,
            loss,
            config,
            sources,
            folder,
            order,
            num_workers=workers,
            has_checkpoint=has_checkpoint,
            progress=progress,
        )
    if trained.is_main:
        folder.load_best(trained.embedder)
        hasher.to(trained.device)
        stage2.add_rotation(hasher.eval(), sources, config, progress)
        report.finish(hasher.cpu(), loss, config, sources, folder, trained.history)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()


def _settings(
    config: TrainConfig | None,
    dataset: Dataset,
    backbone: str | nn.Module | Maker | None,
    loss: str | nn.Module | None,
    options: dict[str, Any],
) -> TrainConfig:
    named: dict[str, Any] = {}
    if backbone is not None:
        named["backbone"] = _name_of(backbone)
    if loss is not None:
        named["loss"] = loss if isinstance(loss, str) else losses.name_of(loss)
    settings = (config or TrainConfig()).with_options(**options, **named)
    if settings.dataset is None:
        settings = settings.with_options(dataset=dataset.name)
    if settings.backbone is None:
        if dataset.train.features is None:
            raise InvalidInputError(
                f"{dataset.name} holds images: choose a backbone, e.g. backbone='resnet50', "
                f"'local-dir:PATH' or, for digits, 'digits-cnn' (h2q train --list backbones)"
            )
        settings = settings.with_options(backbone="features")
    return settings


def _name_of(backbone: str | nn.Module | Maker) -> str:
    if isinstance(backbone, str):
        return backbone
    if isinstance(backbone, Backbone):
        return backbone.spec.name
    return code_name(type(backbone) if isinstance(backbone, nn.Module) else backbone)


def _backbone(
    dataset: Dataset, settings: TrainConfig, backbone: str | nn.Module | Maker | None
) -> Backbone:
    if isinstance(backbone, Backbone):
        return backbone
    features = dataset.train.features
    return backbones.create(
        settings.backbone or "features" if backbone is None else backbone,
        options=settings.backbone_options,
        pretrained=settings.pretrained,
        weights=settings.weights,
        image_size=settings.image_size,
        n_features=None if features is None else features.shape[1],
    )


def _criterion(
    dataset: Dataset,
    settings: TrainConfig,
    loss: str | nn.Module | None,
    miner: nn.Module | None,
) -> nn.Module:
    if isinstance(loss, nn.Module):
        criterion = loss
        if miner is not None or losses.is_of_metric_learning(loss):
            criterion = losses.MetricLearningLoss(loss, miner)
    else:
        options = dict(settings.loss_options) | ({} if miner is None else {"miner": miner})
        criterion = losses.create(
            settings.loss, n_bits=settings.n_bits, n_classes=dataset.n_classes, **options
        )
    name, weight = settings.penalty, settings.penalty_weight
    if name == "own":
        own = penalties.own_penalty(settings.loss)
        if own is None:
            raise InvalidInputError(
                f"penalty='own': the paper of {settings.loss!r} has no quantization term; choose "
                f"one of {', '.join(penalties.names())}, or none"
            )
        name, weight = own
    if name is not None:
        penalty = penalties.create(name, **settings.penalty_options)
        criterion = penalties.penalised(criterion, penalty, weight)
    return penalties.squashed(criterion) if settings.squash else criterion


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice off the terminal."""
    logger = logging.getLogger("lightning.fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in (".*TensorBoard.*", ".*LeafSpec.*", ".*available but not used.*"):
            warnings.filterwarnings("ignore", message=message)
        try:
            yield
        finally:
            logger.setLevel(level)
