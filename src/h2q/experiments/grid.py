"""What is run: every combination of losses, penalties, bits, data sets, backbones and seeds."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from h2q.errors import InvalidInputError
from h2q.experiments.quantizers import POST_HOC, TRAINED, check_quantizations
from h2q.quantization.registry import MOST_LEARNED_BITS

#: The cut-off of the paper's mAP.
TOP: Final = 5000


@dataclass(frozen=True)
class Source:
    """A data set or backbone: the name results carry, and where it is opened from.

    Attributes
    ----------
    name : str
        Short; what tables say.
    spec : str
        What `h2q.datasets.load_dataset` or `h2q.learning.backbones.create` opens. May hold a path,
        so it never enters the results.
    """

    name: str
    spec: str

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read ``NAME=SPEC``, or a spec that is its own name.

        Examples
        --------
        >>> Source.parse("cifar10=npz:features/cifar10.npz").name
        'cifar10'
        >>> Source.parse("digits")
        Source(name='digits', spec='digits')
        """
        name, equals, spec = text.partition("=")
        if not equals:
            name, spec = text.partition(":")[0], text
        if not name or not spec or any(c in name for c in "/\\ ,"):
            raise InvalidInputError(
                f"{text!r}: write NAME=SPEC, e.g. cifar10=npz:features/cifar10.npz"
            )
        return cls(name, spec)


@dataclass(frozen=True)
class Training:
    """One training: all that its embeddings depend on, besides the data.

    Attributes
    ----------
    dataset, backbone : str
        Names (`Source.name`).
    loss : str
        One of `h2q.learning.losses.names()`.
    bits, seed : int
    penalty : str
        "none", "penalty" (the loss's own term, or L2 where it has none) or "hswd".
    penalty_weight : float
        Lambda; 0 without a penalty.
    epochs, batch_size, learning_rate, freeze_backbone, image_size
        As in `h2q.learning.TrainConfig`.
    augment, precision, schedule, validation_rows
        As there, too.
    """

    dataset: str
    backbone: str
    loss: str
    bits: int
    seed: int
    penalty: str = "none"
    penalty_weight: float = 0.0
    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 1e-3
    freeze_backbone: bool = True
    image_size: int | None = None
    augment: str = "none"
    precision: str = "32"
    schedule: str = "constant"
    validation_rows: int = 5000

    def to_dict(self) -> dict[str, Any]:
        """Return names and values, ready for JSON."""
        return dataclasses.asdict(self)

    def identity(self) -> dict[str, Any]:
        """Return what tells it from other trainings; what was added later only where it is set."""
        added = ("augment", "precision", "schedule", "validation_rows")
        plain = {field.name: field.default for field in dataclasses.fields(self)}
        values = self.to_dict()
        return {k: v for k, v in values.items() if k not in added or v != plain[k]}

    @property
    def title(self) -> str:
        """One line for people."""
        penalty = "" if self.penalty == "none" else f" +{self.penalty} {self.penalty_weight:g}"
        return f"{self.dataset}/{self.backbone} {self.loss}{penalty} {self.bits} bits #{self.seed}"


@dataclass(frozen=True)
class Grid:
    """Everything an experiment varies, and everything it holds fixed.

    Attributes
    ----------
    datasets, backbones : tuple of Source
    losses : tuple of str
    quantizations : tuple of str
        Names of `h2q.experiments.quantizers`: what is done to the embeddings afterwards
        ("none", "itq", "h2q", ...) and what is trained with ("penalty", "hswd").
    bits, seeds : tuple of int
    weights : tuple of float
        Candidates for lambda; the one with the best validation mAP is reported.
    top : int
        Cut-off of mAP@k.
    epochs, batch_size, learning_rate, freeze_backbone, image_size, augment, precision, schedule
        As in `Training`.
    validation_rows : int
        As in `Training`.

    Examples
    --------
    >>> grid = Grid(losses=("cel",), bits=(16,), seeds=(0,), quantizations=("none", "h2q"))
    >>> [training.title for training in grid.trainings()]
    ['digits/digits-cnn cel 16 bits #0']
    """

    datasets: tuple[Source, ...] = (Source("digits", "digits"),)
    backbones: tuple[Source, ...] = (Source("digits-cnn", "digits-cnn"),)
    losses: tuple[str, ...] = ("cel",)
    quantizations: tuple[str, ...] = POST_HOC
    bits: tuple[int, ...] = (16, 32, 48, 64)
    seeds: tuple[int, ...] = (0, 1, 2)
    weights: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0, 10.0)
    top: int = TOP
    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 1e-3
    freeze_backbone: bool = True
    image_size: int | None = None
    augment: str = "none"
    precision: str = "32"
    schedule: str = "constant"
    validation_rows: int = 5000

    def __post_init__(self) -> None:
        for name in ("datasets", "backbones", "losses", "quantizations", "bits", "seeds"):
            values = getattr(self, name)
            if not values:
                raise InvalidInputError(f"the grid has no {name}; give at least one")
            if len(set(values)) != len(values):
                raise InvalidInputError(f"the grid names one of its {name} twice: {values}")
        check_quantizations(self.quantizations)
        for name in ("datasets", "backbones"):
            names = [source.name for source in getattr(self, name)]
            if len(set(names)) != len(names):
                raise InvalidInputError(f"two {name} have the same name: {', '.join(names)}")
        if min(self.bits) < 1:
            raise InvalidInputError(f"bits must be at least 1, got {min(self.bits)}")
        if max(self.bits) > MOST_LEARNED_BITS:
            raise InvalidInputError(
                f"bits must be at most {MOST_LEARNED_BITS:,}, got {max(self.bits):,}"
            )
        if any(weight <= 0 for weight in self.weights):
            raise InvalidInputError(f"weights must be above 0, got {self.weights}")
        if self.top < 1:
            raise InvalidInputError(f"top must be at least 1, got {self.top}")

    @property
    def post_hoc(self) -> tuple[str, ...]:
        """Quantizations that need no training of their own."""
        return tuple(name for name in self.quantizations if name in POST_HOC)

    def trainings(self) -> Iterator[Training]:
        """Every training, those that most results hang on first: no penalty, first seed."""
        penalties = ["none"] if self.post_hoc else []
        penalties += [name for name in TRAINED if name in self.quantizations]
        for penalty in penalties:
            weights = self.weights if penalty != "none" else (0.0,)
            for seed, dataset, backbone, bits, loss, weight in itertools.product(
                self.seeds, self.datasets, self.backbones, self.bits, self.losses, weights
            ):
                yield Training(
                    dataset=dataset.name,
                    backbone=backbone.name,
                    loss=loss,
                    bits=bits,
                    seed=seed,
                    penalty=penalty,
                    penalty_weight=weight,
                    epochs=self.epochs,
                    batch_size=self.batch_size,
                    learning_rate=self.learning_rate,
                    freeze_backbone=self.freeze_backbone,
                    image_size=self.image_size,
                    augment=self.augment,
                    precision=self.precision,
                    schedule=self.schedule,
                    validation_rows=self.validation_rows,
                )

    def quantizations_of(self, training: Training) -> tuple[str, ...]:
        """Return what is judged on the embeddings of `training`."""
        return self.post_hoc if training.penalty == "none" else (training.penalty,)


_DIGITS = Grid(
    losses=("cel", "dch"),
    bits=(16,),
    seeds=(0, 1),
    quantizations=("none", "random", "itq", "h2q"),
    epochs=5,
)
#: Grids by name. "paper" is the publication's; its data sets and backbones have to be on this
#: machine, so they are given as ``NAME=SPEC``.
PRESETS: Final[dict[str, Grid]] = {
    "digits": _DIGITS,
    "frozen": Grid(
        datasets=(Source("features", "npz:features.npz"),),
        backbones=(Source("features", "features"),),
        losses=("cel", "dch", "dhn", "dpsh", "dsh", "hyp2", "wglhh", "hashnet", "adsh"),
        quantizations=(*POST_HOC, *TRAINED),
        epochs=30,
        learning_rate=2e-3,
    ),
    # What one GPU does in minutes: the paper's split, a small backbone fine-tuned.
    "finetuned": Grid(
        datasets=(Source("cifar10", "cifar10:data/cifar10"),),
        backbones=(Source("mobilenetv2", "mobilenetv2_100"),),
        losses=("cel", "hyp2", "dch", "dpsh"),
        quantizations=("none", "itq", "h2q", "h2q-l2", "h2q-minentry", "penalty"),
        weights=(0.1,),
        epochs=12,
        freeze_backbone=False,
        image_size=128,
        augment="flip",
        precision="bf16",
        schedule="cosine",
        validation_rows=1000,
    ),
    "paper": Grid(
        datasets=(
            Source("cifar10", "cifar10:data/cifar10"),
            Source("nuswide", "nuswide:data/nuswide"),
            Source("coco", "coco:data/coco"),
            Source("imagenet100", "imagenet100:data/imagenet100"),
        ),
        backbones=(Source("alexnet", "alexnet"), Source("vgg16", "vgg16")),
        losses=("cel", "dch", "dhn", "dpsh", "hyp2", "wglhh", "hashnet", "adsh"),
        quantizations=(*POST_HOC, *TRAINED),
        seeds=(0, 1, 2, 3),
        epochs=100,
        learning_rate=1e-4,
        freeze_backbone=False,
    ),
}


def make_grid(preset: str, **changes: Any) -> Grid:
    """Return a preset, with what is given (not None) in place of its own values.

    Raises
    ------
    InvalidInputError
        For an unknown preset or value, naming the nearest.

    Examples
    --------
    >>> make_grid("digits", bits=(8,)).bits
    (8,)
    """
    if preset not in PRESETS:
        raise InvalidInputError(_unknown("grid", preset, list(PRESETS)))
    given = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(PRESETS[preset], **given)


def _unknown(what: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {name!r}{hint}; one of {', '.join(known)}"
