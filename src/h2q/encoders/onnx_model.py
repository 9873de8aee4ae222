"""A network in an ONNX file, run by onnxruntime; with a second file, a network of texts."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from h2q._lazy import require
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.encoders.kept import KeptEncoder
from h2q.encoders.preparing import Preparing
from h2q.errors import FormatError, InvalidInputError

#: Photos a thread hands to the network at a time: small batches stay in the cache, and no thread
#: waits long for the last one.
_BATCH: Final = 2
#: Files beside FILE that hold its preprocessing, the first that is there.
_PREPARING: Final = ("{stem}.json", "preprocessor_config.json")
#: Files beside FILE that hold the network of texts that goes with it.
_TEXT: Final = ("{stem}.text.onnx", "text_model.onnx")
#: Outputs that are the vector of a whole picture or text, by the names exporters give them.
_OUTPUTS: Final = ("image_embeds", "text_embeds", "embeddings", "sentence_embedding", "features")


class OnnxEncoder:
    """Photos to rows by an ONNX graph: one image input, one vector an image out.

    Parameters
    ----------
    data : bytes
        The ONNX file.
    preparing : Preparing
    kept : KeptEncoder
        Name and fingerprint, as a collection keeps them.
    text : OnnxText, optional
        The network of texts whose rows can be compared with those of photos.
    general_rows : callable, optional
        Gives rows (n, d) along which the features of kinds of things differ.
    threads : int, optional
        Photos are shared out among so many; the cores this process may use by default.

    Raises
    ------
    FormatError
        If the file is no ONNX graph, or takes or gives something else.
    MissingExtraError
        If onnxruntime is not installed.

    Notes
    -----
    Each thread runs the network on photos of its own. Threads that share one photo wait for each
    other after every layer, and spin meanwhile, which keeps the cores from whoever decodes.
    """

    #: onnxruntime's CUDA build is another package than the extra's.
    on_gpu = False

    def __init__(
        self,
        data: bytes,
        preparing: Preparing,
        kept: KeptEncoder,
        *,
        text: OnnxText | None = None,
        general_rows: Callable[[], NDArray[np.float32]] | None = None,
        threads: int | None = None,
    ) -> None:
        self.general_rows = general_rows
        self._session = _session(data, kept.name)
        self._threads = threads or len(os.sched_getaffinity(0))
        self._preparing, self.kept, self.text = preparing, kept, text
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _DTYPES or len(inputs[0].shape) != 4:
            raise FormatError(
                f"{kept.name}: expected one input of images (four dimensions, of "
                f"{' or '.join(_DTYPES)}); it takes {_signature(inputs)}"
            )
        self._input, self._dtype = inputs[0].name, _DTYPES[inputs[0].type]
        # A graph whose first dimension is fixed takes no other number of images.
        first = inputs[0].shape[0]
        self._batch = first if isinstance(first, int) and first > 0 else _BATCH
        self._fixed = isinstance(first, int)
        self._output = _vector_output(self._session, kept.name)
        self.dimension = kept.dimension or self._find_dimension()

    @property
    def name(self) -> str:
        """What `--encoder` takes to mean it."""
        return self.kept.name

    @property
    def draft_side(self) -> int | None:
        """Shorter side in pixels that a JPEG may be decoded at."""
        return self._preparing.draft_side

    def prepare(self, image: Image.Image) -> NDArray[Any]:
        """Turn an upright RGB image into the network's input."""
        return self._preparing(image)

    def embed(self, prepared: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Run the network: (n, dimension), one row an image."""
        if not prepared:
            return np.empty((0, self.dimension), dtype=np.float32)
        parts = _parts(prepared, self._batch)
        if len(parts) == 1 or self._threads == 1:
            return np.concatenate([self._run(part) for part in parts])
        with ThreadPoolExecutor(min(self._threads, len(parts))) as pool:
            return np.concatenate(list(pool.map(self._run, parts)))

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts with the network that goes with this one: (n, dimension).

        Raises
        ------
        InvalidInputError
            If there is none.
        """
        if self.text is None:
            raise InvalidInputError(
                f"the encoder {self.name} understands photos alone; to search by text, make the "
                "collection with a pair: --encoder onnx:FILE with FILE's text network beside it "
                "(text_model.onnx)"
            )
        rows = self.text(texts)
        if rows.shape[1] != self.dimension:
            raise FormatError(
                f"{self.text.name} gives rows of {rows.shape[1]} numbers, the network of photos "
                f"of {self.dimension}: they are no pair"
            )
        return rows

    def _run(self, part: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        batch = np.stack(part)
        if self._fixed and len(batch) < self._batch:
            spare = np.zeros((self._batch - len(batch), *batch.shape[1:]), dtype=batch.dtype)
            batch = np.concatenate([batch, spare])
        return _run(
            self._session,
            self.name,
            self._output,
            {self._input: batch.astype(self._dtype, copy=False)},
        )[: len(part)]

    def _find_dimension(self) -> int:
        side = self._preparing.size
        probe = self._preparing(Image.new("RGB", (side[1], side[0])))
        return int(self._run([probe]).shape[1])


class OnnxText:
    """Texts to rows: a graph that takes strings, or tokens of the `tokenizer.json` beside it.

    Parameters
    ----------
    path : path
        The ONNX file.

    Raises
    ------
    FormatError, MissingExtraError
    """

    def __init__(self, path: StrPath) -> None:
        path = as_path(path)
        self.name = str(path)
        data = _read(path)
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._session = _session(data, self.name)
        self._output = _vector_output(self._session, self.name)
        self._inputs = {each.name: each for each in self._session.get_inputs()}
        self._tokenizer: Any = None
        if [each.type for each in self._inputs.values()] == ["tensor(string)"]:
            return
        if "input_ids" not in self._inputs or not self._inputs.keys() <= _TOKENS.keys():
            raise FormatError(
                f"{path}: expected an input of strings, or input_ids with attention_mask; it takes "
                f"{_signature(self._inputs.values())}"
            )
        file = path.with_name("tokenizer.json")
        tokenizers = require("tokenizers", "text")
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises bare Exceptions
            raise FormatError(
                f"{file}: the tokenizer of {path.name} cannot be read ({error}); put the "
                "model's tokenizer.json beside it"
            ) from error
        length = self._inputs["input_ids"].shape[-1]
        if isinstance(length, int):
            self._tokenizer.enable_truncation(length)
            self._tokenizer.enable_padding(length=length)
        elif self._tokenizer.padding is None:
            self._tokenizer.enable_padding()

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts, one row each."""
        if self._tokenizer is None:
            name = next(iter(self._inputs))
            feed = {name: np.array(list(texts), dtype=np.object_)}
            return _run(self._session, self.name, self._output, feed)
        encodings = self._tokenizer.encode_batch(list(texts))
        feed = {
            name: np.array([getattr(e, _TOKENS[name]) for e in encodings], dtype=_dtype(each))
            for name, each in self._inputs.items()
        }
        return _run(self._session, self.name, self._output, feed)


def load_onnx(name: str) -> OnnxEncoder:
    """Load `onnx:FILE`, with its preprocessing and the network of texts beside it.

    Parameters
    ----------
    name : str
        ``onnx:FILE``, or a folder that holds one `.onnx` or a `vision_model.onnx`. The
        preprocessing is `FILE` with the suffix `.json` (`Preparing`), or a
        `preprocessor_config.json`; the network of texts is `FILE` with `.text.onnx`, or a
        `text_model.onnx`, with its `tokenizer.json`.

    Raises
    ------
    InvalidInputError
        If the file or its preprocessing is missing.
    FormatError
        If either cannot be used.
    """
    path = _find(Path(name.removeprefix("onnx:")).expanduser().absolute())
    settings = _beside(path, _PREPARING)
    if settings is None:
        raise InvalidInputError(
            f"{path} says nothing of its preprocessing; put {path.stem}.json beside it, such as "
            f"{json.dumps(Preparing().to_dict())}"
        )
    preparing = Preparing.from_file(settings)
    text_file = _beside(path, _TEXT)
    text = None if text_file is None else OnnxText(text_file)
    data = _read(path)
    parts = [hashlib.sha256(data).hexdigest(), json.dumps(preparing.to_dict(), sort_keys=True)]
    parts += [] if text is None else [text.sha256]
    fingerprint = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    encoder = OnnxEncoder(data, preparing, KeptEncoder(f"onnx:{path}", fingerprint, 0), text=text)
    encoder.kept = KeptEncoder(f"onnx:{path}", fingerprint, encoder.dimension)
    return encoder


_DTYPES: Final[dict[str, Any]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
_TOKENS: Final = {
    "input_ids": "ids",
    "attention_mask": "attention_mask",
    "token_type_ids": "type_ids",
}


def _find(path: Path) -> Path:
    if path.is_dir():
        usual = path / "vision_model.onnx"
        found = [usual] if usual.is_file() else sorted(path.glob("*.onnx"))
        found = [each for each in found if not each.name.endswith("text.onnx")]
        if len(found) != 1:
            raise InvalidInputError(f"{path}: holds {len(found)} networks (.onnx); name the file")
        return found[0]
    if not path.is_file():
        raise InvalidInputError(f"there is no encoder {path}; give onnx:FILE, a file that exists")
    return path


def _beside(path: Path, names: Sequence[str]) -> Path | None:
    places = (path.with_name(name.format(stem=path.stem)) for name in names)
    return next((place for place in places if place.is_file() and place != path), None)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _session(data: bytes, name: str) -> Any:
    runtime = require("onnxruntime", "photos")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1  # of each caller; `embed` calls from several threads
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no class but this
        raise FormatError(f"{name}: not an ONNX graph that onnxruntime runs ({error})") from error


def _vector_output(session: Any, name: str) -> str:
    outputs = session.get_outputs()
    flat = [each for each in outputs if len(each.shape) in (0, 2)]
    for usual in _OUTPUTS:
        if any(each.name == usual for each in flat):
            return usual
    if len(flat) != 1:
        raise FormatError(
            f"{name}: expected one output of rows, (n, d); it gives {_signature(outputs)}"
        )
    return str(flat[0].name)


def _run(session: Any, name: str, output: str, feed: dict[str, Any]) -> NDArray[np.float32]:
    try:
        (rows,) = session.run([output], feed)
    except Exception as error:  # onnxruntime's errors share no class but this
        raise FormatError(f"{name}: the network cannot take its input ({error})") from error
    rows = np.asarray(rows, dtype=np.float32)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise FormatError(f"{name}: gave {rows.shape} numbers, not finite rows (n, d)")
    return rows


def _dtype(value: Any) -> Any:
    return np.int32 if value.type == "tensor(int32)" else np.int64


def _signature(values: Any) -> str:
    return ", ".join(f"{each.name} {each.type} {each.shape}" for each in values) or "nothing"


def _parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
