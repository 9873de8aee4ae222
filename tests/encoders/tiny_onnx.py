"""Tiny networks in ONNX files: of photos, and of photos and texts that can be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: What the pair understands: the mean of the channel that a colour lights up.
WORDS = {"red": 0, "green": 1, "blue": 2}


def save(
    path: Path, nodes: list[Any], given: list[Any], names: str, constants: dict[str, Any]
) -> None:
    """Write a graph whose last output is `names`, rows of any width."""
    output = helper.make_tensor_value_info(names, TensorProto.FLOAT, ["n", None])
    arrays = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", given, [output], arrays)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def photo_network(path: Path, columns: int = 8, side: int = 8, batch: int | str = "n") -> Path:
    """Mean of each channel, then a linear map to `columns` numbers."""
    weight = np.random.default_rng(0).normal(size=(3, columns)).astype(np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["means"], axis=1),
        helper.make_node("MatMul", ["means", "weight"], ["image_embeds"]),
    ]
    given = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [batch, 3, side, side])
    save(path, nodes, [given], "image_embeds", {"weight": weight})
    settings = {"size": [side, side], "resize": side, "mean": [0.5], "std": [0.5]}
    path.with_suffix(".json").write_text(json.dumps(settings))
    return path


def pair(folder: Path, columns: int = 8) -> Path:
    """`vision_model.onnx` and `text_model.onnx` with a tokenizer: words are rows of the map."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    path = photo_network(folder / "vision_model.onnx", columns)
    weight = np.random.default_rng(0).normal(size=(3, columns)).astype(np.float32)
    lit = 2 * np.eye(3, dtype=np.float32) - 1  # one channel at 1, the others at -1
    table = np.concatenate([lit @ weight, np.zeros((2, columns), np.float32)])
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["mask3"]),
        helper.make_node("Mul", ["words", "mask3"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axis"], ["text_embeds"], keepdims=0),
    ]
    given = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    last, axis = np.array([2]), np.array([1])
    constants = {"table": table, "last": last, "axis": axis}
    save(folder / "text_model.onnx", nodes, given, "text_embeds", constants)
    words = {**WORDS, "[UNK]": 3, "[PAD]": 4}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return path
