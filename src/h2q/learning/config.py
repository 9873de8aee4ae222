"""`fit`'s keywords as a frozen dataclass and as a YAML file."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import typing
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, Self

import annotated_types
from annotated_types import Ge, Gt, Le

from h2q._foreign import shortened
from h2q._lazy import require
from h2q._own_code import TRUSTED, is_trusted, names_code
from h2q._typing import StrPath
from h2q._yaml import read_yaml
from h2q.errors import FormatError, InvalidInputError
from h2q.quantization.registry import MOST_LEARNED_BITS, QUANTIZERS, get_quantizer

#: Begins the first line of a run's `config.yaml`, which says where its relative paths begin.
MADE_IN: Final = "# relative paths begin at: "


@dataclass(frozen=True)
class TrainConfig:
    """How to train; every value has a name, a type and a default, and travels in `config.yaml`.

    Attributes
    ----------
    dataset : str, optional
        What `h2q train` opens; `fit` takes the opened data set and ignores it.
    dataset_options : dict
        Options of the data set (root folder, split, seed, ...).
    backbone : str, optional
        See `h2q.learning.backbones`; "features" where the data set holds features and no images.
    backbone_options : dict
        Arguments of a backbone of one's own, ``package.module:Name``.
    pretrained : bool
        Start from published weights (or the local folder's).
    weights : str, optional
        Local file of the backbone's weights.
    image_size : int, optional
        Input size instead of the backbone's own.
    freeze_backbone : bool
        Train the hash layer alone. Without augmentation the features are computed once and kept
        in the run folder.
    n_bits : int
        Length of the code.
    loss : str
        One of `h2q.learning.losses.names()`, or one's own, ``package.module:MyLoss``.
    loss_options : dict
        The loss's own parameters.
    penalty : str, optional
        One of `h2q.learning.penalties.names()`, or "own": the term and weight of the loss's own
        paper. H²Q trains without one.
    penalty_weight : float
        Its weight lambda.
    penalty_options : dict
        The penalty's own parameters.
    squash : bool
        Give loss and penalty tanh(z), as most deep hashing does.
    augment : {"none", "flip", "crop-flip"}
        What is done to training images.
    epochs : int
        At most.
    patience : int, optional
        Stop after so many epochs without a better validation mAP; never, if None.
    batch_size : int
        Items a step, over all processes together.
    learning_rate : float
        Of the hash layer (and of the loss's parameters, unless the loss sets its own).
    backbone_rate : float
        The backbone learns at `backbone_rate * learning_rate`: the paper's hash layer learns ten
        times as fast as the layers before it.
    optimizer : {"adam", "adamw", "sgd"}
        "sgd" has momentum 0.9.
    weight_decay : float
        Of the optimizer.
    schedule : {"constant", "cosine"}
        "cosine" falls to zero at the last of `epochs`.
    gradient_clip : float, optional
        Largest norm of the gradient.
    validation_rows : int
        Validation items are ranked, by cosine, against at most so many training items.
    quantizer : str
        Fitted on the training embeddings at the end: one of `h2q.quantization.registry.QUANTIZERS`
        that rotates ("h2q", "itq", "random", "none", "h2q-sgd", "h2q-procrustes").
    precision : {"32", "bf16", "16"}
        Of the forward and backward pass; weights and losses stay in 32 bits.
    embed_precision : {"32", "tf32", "16", "bf16"}
        In which the trained model embeds images ever after: to fit the rotation, to index and to
        query. In 16 bits some bits flip; the model card says how many.
    compile : bool
        Let `torch.compile` compile the network first: a minute or more, then faster steps.
    accelerator : str
        "auto", "cpu" or "gpu".
    devices : int
        Processes (GPUs) on a node; more than one trains with DDP.
    num_nodes : int
        Nodes.
    num_workers : int, optional
        Processes that read images; chosen by the number of cores if None.
    held_gib : float, optional
        Images are cut and resized once and held, as bytes, up to this many GiB, on the GPU where
        there is one; images beyond, and those cropped at random, are read in every epoch. A
        quarter of what the GPU has free, or half a GiB without one, if None.
    random_state : int
        Seed of weights, order, augmentation and quantizer.
    deterministic : bool
        Refuse operations that may give another result when repeated (matters on GPUs).

    Examples
    --------
    >>> TrainConfig.from_dict({"n_bits": 32, "epochs": 5}).n_bits
    32
    >>> TrainConfig.from_dict({"n_bit": 32})
    Traceback (most recent call last):
    ...
    h2q.errors.InvalidInputError: unknown key 'n_bit'; did you mean 'n_bits'?
    """

    dataset: str | None = None
    dataset_options: dict[str, Any] = field(default_factory=dict)
    backbone: str | None = None
    backbone_options: dict[str, Any] = field(default_factory=dict)
    pretrained: bool = True
    weights: str | None = None
    image_size: Annotated[int, Ge(1)] | None = None
    freeze_backbone: bool = False
    n_bits: Annotated[int, Ge(1), Le(MOST_LEARNED_BITS)] = 64
    loss: str = "cel"
    loss_options: dict[str, Any] = field(default_factory=dict)
    penalty: str | None = None
    penalty_weight: Annotated[float, Ge(0)] = 0.1
    penalty_options: dict[str, Any] = field(default_factory=dict)
    squash: bool = False
    augment: Literal["none", "flip", "crop-flip"] = "none"
    epochs: Annotated[int, Ge(1)] = 50
    patience: Annotated[int, Ge(1)] | None = 10
    batch_size: Annotated[int, Ge(1)] = 128
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    backbone_rate: Annotated[float, Ge(0)] = 0.1
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: Annotated[float, Ge(0)] = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    gradient_clip: float | None = None
    validation_rows: Annotated[int, Ge(1)] = 5000
    quantizer: str = "h2q"
    precision: Literal["32", "bf16", "16"] = "32"
    embed_precision: Literal["32", "tf32", "16", "bf16"] = "32"
    compile: bool = False
    accelerator: str = "auto"
    devices: Annotated[int, Ge(1)] = 1
    num_nodes: Annotated[int, Ge(1)] = 1
    num_workers: int | None = None
    held_gib: Annotated[float, Ge(0)] | None = None
    random_state: Annotated[int, Ge(0)] = 0
    deterministic: bool = False

    def __post_init__(self) -> None:
        for key, value in _checked(vars(self)).items():
            object.__setattr__(self, key, value)  # a whole number where a float is meant
        _check_quantizer(self.quantizer)

    @classmethod
    def names(cls) -> list[str]:
        """Names of the keys, in order."""
        return [f.name for f in dataclasses.fields(cls)]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from names and values.

        Raises
        ------
        InvalidInputError
            For an unknown key, naming the nearest; for a value of the wrong type or out of range.
        """
        return cls(**_known(values))

    @classmethod
    def from_yaml(cls, path: StrPath, *, trusted: Collection[str] | None = ()) -> Self:
        """Read a YAML file of names and values; keys it lacks keep their default.

        Parameters
        ----------
        path : path-like
        trusted : collection of str, optional
            Code, ``package.module:Name``, that the file may name as its backbone or loss; so may
            it what ``H2Q_TRUSTED`` lists. A file alone makes h2q import nothing. None for a caller
            that imports neither.

        Raises
        ------
        InvalidInputError
            If the file cannot be read, names code that is not trusted, or `from_dict` raises.
        """
        try:
            values = read_yaml(path, "a config")
        except (OSError, FormatError) as error:
            raise InvalidInputError(f"{path}: cannot read this config: {error}") from error
        if values is None:
            values = {}
        if not isinstance(values, dict):
            raise InvalidInputError(f"{path}: expected lines of 'key: value', e.g. 'n_bits: 32'")
        for key in ("backbone", "loss"):
            name = str(values.get(key))
            if trusted is not None and names_code(name) and not is_trusted(name, trusted):
                raise InvalidInputError(
                    f"{path}: its {key} {name:.200} is code, and a file alone makes h2q import "
                    f"nothing; if you trust it, name it yourself (--{key} {name:.200}, "
                    f"trusted=[{name!r:.200}], or {TRUSTED} in the environment)"
                )
        try:
            return cls.from_dict(values)
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {shortened(str(error))}") from error

    def with_options(self, **options: Any) -> Self:
        """Return a copy with other values, checked as in `from_dict`."""
        return dataclasses.replace(self, **_known(options))

    def to_dict(self) -> dict[str, Any]:
        """All names and values."""
        return dataclasses.asdict(self)

    def to_yaml(self) -> str:
        """Text that `from_yaml` reads back to an equal config."""
        yaml = require("yaml", "train")
        text: str = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
        return text


def _known(values: dict[str, Any]) -> dict[str, Any]:
    names = TrainConfig.names()
    for key in values:
        if key not in names:
            close = difflib.get_close_matches(str(key), names, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}?" if close else f"keys are: {', '.join(names)}"
            raise InvalidInputError(f"unknown key {key!r}; {hint}")
    return values


@functools.cache
def _schema() -> Any:
    pydantic = require("pydantic", "train")
    # YAML reads 1e-3 as text.
    number = pydantic.BeforeValidator(_number)
    kinds = typing.get_type_hints(
        TrainConfig, {**globals(), **vars(annotated_types)}, include_extras=True
    )
    for key, kind in kinds.items():
        if float in (kind, *_parts(kind)):
            kinds[key] = typing.Annotated[kind, number]
    made = {key: (kind, ...) for key, kind in kinds.items()}
    return pydantic.create_model("TrainConfig", __config__={"strict": True}, **made)


def _parts(kind: Any) -> set[Any]:
    return {kind}.union(*(_parts(part) for part in typing.get_args(kind)))


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values as their annotations want them; the first that is not is an error."""
    schema = _schema()
    try:
        return dict(schema(**values))
    except ValueError as error:
        wrong = error.errors()[0]  # type: ignore[attr-defined]  # pydantic's
        key, value = ".".join(map(str, wrong["loc"])), wrong["input"]
        choices = wrong.get("ctx", {}).get("expected", "")
        quoted = f"; write it in quotes: '{value}'" if f"'{value}'" in choices else ""
        raise InvalidInputError(
            f"{key}: {wrong['msg'][0].lower()}{wrong['msg'][1:]}, got {value!r} "
            f"({type(value).__name__}){quoted}"
        ) from None


def _number(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _check_quantizer(name: str) -> None:
    """Refuse what no model file can hold: it keeps a rotation, and names a class of h2q."""
    if names_code(name):
        raise InvalidInputError(
            f"quantizer: {name!r} is code of your own, which no model file holds; train with one "
            "of h2q's, and judge yours on the model's embeddings (h2q eval --quantizers)"
        )
    if not get_quantizer(name).rotates:
        raise InvalidInputError(
            f"quantizer: {name!r} has no rotation, which is what a model keeps; choose "
            f"{', '.join(each.name for each in QUANTIZERS.values() if each.rotates)}"
        )
