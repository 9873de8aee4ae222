"""`h2q train`: both stages of H²Q on labelled images or features."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from h2q.cli import _console
from h2q.cli._help import Json

if TYPE_CHECKING:
    from h2q.learning import TrainConfig


class Listing(StrEnum):
    """What `--list` lists."""

    LOSSES = "losses"
    BACKBONES = "backbones"
    DATASETS = "datasets"


_DATA, _MODEL, _RUN = "What is learned from", "What is learned", "How"


def train(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder: model, config, metrics, plots.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            "-d",
            help="Data set: digits, folder:PATH, csv:PATH, npz:PATH, ... (--list datasets).",
            rich_help_panel=_DATA,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", help="YAML file of settings; flags win over it.", rich_help_panel=_RUN
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone",
            help="Network before the hash layer: any timm name, local-dir:PATH, digits-cnn, ..., "
            "or yours: package.module:Name.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights", help="Local file of the backbone's weights.", rich_help_panel=_MODEL
        ),
    ] = None,
    freeze: Annotated[
        bool | None,
        typer.Option(
            "--freeze/--fine-tune",
            help="Train the hash layer alone, or the backbone too.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            "--loss",
            help="Similarity loss (--list losses), or yours: package.module:MyLoss.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option("--bits", "-b", min=1, help="Length of the code.", rich_help_panel=_MODEL),
    ] = None,
    quantizer: Annotated[
        str | None,
        typer.Option(
            "--quantizer", help="Stage 2: h2q, itq, random, none, ...", rich_help_panel=_MODEL
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", "-e", min=1, help="At most so many.", rich_help_panel=_RUN),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", min=1, help="Items a step.", rich_help_panel=_RUN),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option("--learning-rate", "--lr", help="Of the hash layer.", rich_help_panel=_RUN),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            "--patience",
            min=1,
            help="Stop after so many epochs without a better validation mAP.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option("--augment", help="none, flip or crop-flip.", rich_help_panel=_RUN),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Seed of everything random.", rich_help_panel=_RUN),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            metavar="KEY=VALUE",
            help="Any other setting of the config, such as loss_options.separation=0.1.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--fresh",
            help="Continue the run in the folder, or start over.",
            rich_help_panel=_RUN,
        ),
    ] = True,
    listing: Annotated[
        Listing | None, typer.Option("--list", help="List what can be chosen, and stop.")
    ] = None,
    json: Json = False,
) -> None:
    """[bold]Train[/] a model that turns images (or features) into codes.

    Stage 1 trains a hash layer, and the network before it unless frozen, with a similarity loss;
    stage 2 finds the rotation. A run that was interrupted continues when the command is repeated.
    """
    if listing is not None:
        _list(listing, json)
        return
    if out is None:
        raise typer.BadParameter("say where the run goes", param_hint="--out")
    # What is wrong at a glance is said before torch is imported, which takes seconds.
    from h2q.learning.names import check_backbone, check_loss

    if loss is not None:
        check_loss(loss)
    if backbone is not None:
        check_backbone(backbone)
    if data is not None:
        from h2q.datasets.registry import check_dataset

        check_dataset(data)
    elif config is None and not any(each.startswith("dataset=") for each in settings or []):
        raise typer.BadParameter(
            "say what to learn from (or name it in --config)", param_hint="--data"
        )
    if quantizer is not None:
        from h2q.quantization.registry import get_quantizer

        get_quantizer(quantizer)
    from h2q._lazy import require

    require("torch", "train")
    from h2q.cli._skipped import end, list_skipped
    from h2q.datasets import load_dataset
    from h2q.ingest.report import Skipped
    from h2q.learning import TrainConfig, fit

    said = [each for each in (backbone, loss) if each is not None]
    base = TrainConfig() if config is None else TrainConfig.from_yaml(config, trusted=said)
    given = {
        "dataset": data,
        "backbone": backbone,
        "weights": None if weights is None else str(weights),
        "freeze_backbone": freeze,
        "loss": loss,
        "n_bits": bits,
        "quantizer": quantizer,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "patience": patience,
        "augment": augment,
        "random_state": seed,
    }
    chosen = base.with_options(**{key: value for key, value in given.items() if value is not None})
    chosen = _with_settings(chosen, settings or [])
    if chosen.dataset is None:
        raise typer.BadParameter(
            "say what to learn from (or name it in --config)", param_hint="--data"
        )
    dataset = load_dataset(chosen.dataset, **chosen.dataset_options)
    skipped = [Skipped(*each.split(": ", 1)) for each in dataset.skipped]
    list_skipped(skipped)
    result = fit(dataset, out=out, config=chosen, resume=resume, progress=not _console.is_quiet())
    facts = {
        "run": str(result.run_dir),
        "model": str(result.run_dir / "model.safetensors"),
        "validation_map": result.best_validation_map,
        "epochs": len(result.history),
        "n_bits": chosen.n_bits,
        "data": dataset.summary(),
    }
    if json:
        _console.print_json(facts)
    else:
        _console.out().print(
            f"validation mAP {result.best_validation_map:.4f} (cosine) after "
            f"{len(result.history)} epochs, {chosen.n_bits} bits -> {facts['model']}",
            markup=False,
        )
    end(skipped)


def _with_settings(config: TrainConfig, settings: list[str]) -> TrainConfig:
    """Apply KEY=VALUE pairs; the value is YAML, and a dot reaches into a group of options."""
    if not settings:
        return config
    from h2q._yaml import parse_yaml
    from h2q.errors import FormatError

    changes: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{setting!r} is not KEY=VALUE", param_hint="--set")
        try:
            value = parse_yaml(text, setting, "YAML")
        except FormatError as error:
            raise typer.BadParameter(str(error), param_hint="--set") from error
        group, dot, option = key.partition(".")
        if dot:
            known = changes.get(group, getattr(config, group, {}))
            changes[group] = (
                {**known, option: value} if isinstance(known, dict) else {option: value}
            )
        else:
            changes[key] = value
    return config.with_options(**changes)


def _list(listing: Listing, json: bool) -> None:
    rows: list[list[str]]
    if listing is Listing.DATASETS:
        from h2q.datasets import list_datasets

        rows = [[entry.usage, entry.description] for entry in list_datasets()]
    else:
        from h2q._lazy import require

        require("torch", "train")
        from h2q.learning import backbones, losses

        if listing is Listing.LOSSES:
            rows = [[name, losses.describe(name)] for name in losses.names()]
            rows.append(["pml:CLASS", "any loss of pytorch-metric-learning, by its class name"])
            rows.append(["package.module:MyLoss", "a class of your own"])
        else:
            rows = [[name, _BACKBONES.get(name, "")] for name in backbones.names()]
            rows.append(
                ["any timm name", "resnet50, vit_base_patch16_224, mobilenetv3_large_100, ..."]
            )
    if json:
        _console.print_json([{"name": name, "description": text} for name, text in rows])
        return
    _console.show(["name", "what it is"], rows)


_BACKBONES = {
    "digits-cnn": "small network for scikit-learn's 8 x 8 digits",
    "features": "none: precomputed features go straight to the hash layer",
    "alexnet": "AlexNet, as in the paper (torchvision)",
    "vgg16": "VGG-16, as in the paper (torchvision)",
    "package.module:Name": "a class, or a function that makes a module, of your own",
    "local-dir:PATH": "a timm model folder on this machine (config.json, model.safetensors)",
}
