"""The run folder: names of its files, written whole or not at all, and whether it may resume."""

from __future__ import annotations

import hashlib
import json
import pickle  # for the name of its error; nothing is unpickled but by weights_only
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from torch import nn

from h2q._files import write_whole, written_whole
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.errors import FormatError, InvalidInputError
from h2q.learning.config import MADE_IN, TrainConfig

if TYPE_CHECKING:
    from h2q.datasets import Dataset

#: What may differ between a run and its resumption without changing what is computed.
_FREE = (
    "num_workers",
    "held_gib",
    "devices",
    "num_nodes",
    "accelerator",
    "dataset",
    "dataset_options",
)
#: What torch raises for a file that is truncated or is no checkpoint.
_DAMAGED = (RuntimeError, OSError, EOFError, ValueError, LookupError, pickle.UnpicklingError)


#: Says how `last.ckpt` is laid out.
CHECKPOINT = "h2q checkpoint 2"


class RunFolder:
    """Paths of a run.

    ``config.yaml``, ``metrics.csv``, ``model.safetensors``, ``README.md`` (model card),
    ``loss.png``, ``validation_map.png``, ``features/`` (cache), ``tensorboard/`` and
    ``checkpoints/``.
    """

    def __init__(self, path: StrPath) -> None:
        self.path = as_path(path)
        self.config = self.path / "config.yaml"
        self.metrics = self.path / "metrics.csv"
        self.model = self.path / "model.safetensors"
        self.card = self.path / "README.md"
        self.features = self.path / "features"
        self.checkpoints = self.path / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"
        self.best = self.checkpoints / "best.safetensors"
        self._identity = self.checkpoints / "identity.json"

    def prepare(self, config: TrainConfig, identity: dict[str, Any], *, resume: bool) -> bool:
        """Make the folder, or check that what it holds is the same run.

        Returns
        -------
        bool
            Whether there is a checkpoint to go on from.

        Raises
        ------
        InvalidInputError
            If the folder holds another run, or cannot be written.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            if not resume:
                for path in (self.last, self.best, self.model, self.metrics, self._identity):
                    path.unlink(missing_ok=True)
            found = self._found_identity()
            if found is not None and found != identity:
                raise InvalidInputError(self._describe(found, identity))
            if found is None:
                write_whole(self._identity, json.dumps(identity, indent=1).encode())
            write_whole(self.config, (f"{MADE_IN}{Path.cwd()}\n" + config.to_yaml()).encode())
        except OSError as error:
            raise InvalidInputError(f"{self.path}: cannot write the run: {error}") from error
        return self.last.exists()

    def _found_identity(self) -> dict[str, Any] | None:
        if not self._identity.exists():
            return None
        found: dict[str, Any] = json.loads(self._identity.read_text(encoding="utf-8"))
        return found

    def _describe(self, found: dict[str, Any], identity: dict[str, Any]) -> str:
        keys = [key for key in identity if found.get(key) != identity[key]]
        changes = ", ".join(f"{key} was {found.get(key)!r}, is {identity[key]!r}" for key in keys)
        return (
            f"{self.path} holds a run that differs: {changes}. Choose another folder, or "
            f"resume=False (--fresh) to start over in this one"
        )

    def save_best(self, tensors: dict[str, torch.Tensor]) -> None:
        """Write the weights of the best epoch so far."""
        plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
        write_whole(self.best, safetensors.torch.save(plain))

    def load_best(self, embedder: nn.Module) -> None:
        """Put the weights of the best epoch back."""
        embedder.load_state_dict(safetensors.torch.load_file(self.best))

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Write everything that resuming needs: tensors and plain values."""
        with written_whole(self.last) as file:
            torch.save(state, file)

    def load_checkpoint(self) -> dict[str, Any]:
        """Read what `save_checkpoint` wrote, on the CPU.

        Raises
        ------
        FormatError
            If the checkpoint is damaged.
        """
        try:
            state: dict[str, Any] = torch.load(self.last, map_location="cpu", weights_only=True)
            if state["format"] != CHECKPOINT:
                raise ValueError("another version of h2q wrote it")
        except _DAMAGED as error:
            raise FormatError(
                f"{self.last} is damaged ({error}); start over with resume=False (--fresh)"
            ) from error
        return state

    def write_metrics(self, text: str) -> None:
        """Write the table of all epochs."""
        write_whole(self.metrics, text.encode())


def identity_of(config: TrainConfig, dataset: Dataset, loss: nn.Module) -> dict[str, Any]:
    """Collect what must be equal for a run to be resumed: the config and the training data."""
    values = {k: v for k, v in config.to_dict().items() if k not in _FREE}
    if not config.backbone_options:  # runs of before it was an option may resume
        values.pop("backbone_options")
    values["loss"] = f"{config.loss} ({type(loss).__name__})"
    values["data"] = fingerprint(dataset.train, dataset.validation)
    return values


def fingerprint(*splits: Any) -> str:
    """Digest of ids and labels, and of the features where there are any."""
    digest = hashlib.sha256()
    for items in splits:
        digest.update("\n".join(items.ids).encode())
        digest.update(items.labels.tobytes())
        if items.features is not None:
            digest.update(items.features.tobytes())
    return digest.hexdigest()[:16]


def weights_digest(module: nn.Module) -> str:
    """Digest of a module's weights and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
