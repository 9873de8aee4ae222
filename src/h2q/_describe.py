"""Say what a file or folder of ours is, and the facts about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from h2q._files import is_sqlite
from h2q._foreign import parse_json, reading
from h2q._paths import path_text
from h2q._typing import StrPath
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles.registry import SUFFIXES


def describe(path: StrPath) -> dict[str, Any]:
    """Facts about a collection, quantizer, model, run folder, codes or embeddings.

    Parameters
    ----------
    path : path, or the address of a collection

    Returns
    -------
    dict
        Values that JSON can hold; `kind` says what it is.

    Raises
    ------
    InvalidInputError
        If there is nothing at `path`, or nothing of ours.
    FormatError
        If it is damaged.
    """
    if "://" in path_text(path):
        return _collection(str(path))
    path = Path(path)
    if not path.exists():
        raise InvalidInputError(f"there is no {path}")
    if path.is_dir():
        return _folder(path)
    if is_sqlite(path):
        return _collection(str(path))
    if path.suffix == ".safetensors":
        return _safetensors(path)
    if path.name.lower().endswith(SUFFIXES):
        return _rows(path)
    raise InvalidInputError(
        f"{path} is nothing h2q knows: a collection, a quantizer or model (.safetensors), codes or "
        f"embeddings ({', '.join(SUFFIXES)}), or a run folder"
    )


def _collection(uri: str) -> dict[str, Any]:
    from dataclasses import asdict

    from h2q.collections import open_collection

    with open_collection(uri, mode="r") as collection:
        facts = {"kind": "collection", **asdict(collection.info())}
        kept = collection.model_bytes()
    if kept is not None:
        from h2q.encoders.kept import KIND, KeptEncoder, metadata_of

        of_encoder = metadata_of(kept).get("kind") == KIND
        facts["encoder"] = KeptEncoder.from_bytes(kept).name if of_encoder else "the model kept"
    return facts


def _safetensors(path: Path) -> dict[str, Any]:
    from h2q.quantization.serialization import read_header

    header = read_header(path)
    kind = header.get("kind", "")
    about = parse_json(header.get(kind, "{}"), path)
    if not isinstance(about, dict):
        raise FormatError(f"{path}: what it says of itself is no JSON object; it is damaged")
    facts: dict[str, Any] = {"kind": "model" if kind == "hasher" else kind, "path": str(path)}
    facts["format_version"] = int(header["format_version"])
    facts["size_bytes"] = path.stat().st_size
    return {**facts, **about}


def _rows(path: Path) -> dict[str, Any]:
    from h2q.codes import BIT_ORDER
    from h2q.rowfiles import format_of, open_rows
    from h2q.rowfiles.npz import array_names

    form = format_of(path)
    try:
        file = open_rows(path)
    except InvalidInputError:
        if form.name != "npz":
            raise
        return {"kind": "arrays", "path": str(path), "arrays": array_names(str(path))}
    facts: dict[str, Any] = {
        "kind": file.kind, "path": str(path), "format": form.name, "rows": file.count,
    }  # fmt: skip
    first = file.reader(0, min(1, file.count))
    if file.kind == "codes":
        order = {"bit_order": BIT_ORDER}
        return {**facts, "n_bits": file.n_bits, **order, "ids": first.ids is not None}
    facts |= {"dimension": file.width, "dtype": file.dtype}
    if first.labels is not None:
        facts["labels"] = "multi" if isinstance(first.labels.values[0], list) else "single"
    if file.classes is not None:
        facts["classes"] = len(file.classes)
    if file.has_split:
        whole = file.read(0, file.count)
        names, counts = _counts(whole.split)
        facts["split"] = dict(zip(names, counts, strict=True))
    return facts


def _counts(names: Any) -> tuple[list[str], list[int]]:
    import numpy as np

    found, counts = np.unique(names, return_counts=True)
    return found.tolist(), counts.tolist()


def _folder(path: Path) -> dict[str, Any]:
    config, model, metrics = (
        path / name for name in ("config.yaml", "model.safetensors", "metrics.csv")
    )
    if not config.exists() and not model.exists():
        from h2q.images import scan_folder

        return {"kind": "folder", "path": str(path), "images": len(scan_folder(path))}
    facts: dict[str, Any] = {"kind": "run", "path": str(path), "finished": model.exists()}
    if metrics.exists():
        facts.update(_progress(metrics))
    if model.exists():
        facts["model"] = _safetensors(model)
    return facts


def _progress(metrics: Path) -> dict[str, Any]:
    import csv

    with (
        reading(metrics, "the metrics of a run"),
        metrics.open(encoding="utf-8", newline="") as file,
    ):
        rows = list(csv.DictReader(file))
        best = max((float(row["validation_map"]) for row in rows), default=None)
    return {"epochs": len(rows), "best_validation_map": best}
