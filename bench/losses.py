"""Every loss trained as a linear hash layer on frozen features, against the untrained layer.

    python bench/losses.py --folder FOLDER --cache ~/.cache/h2q-bench

Data: Corel-5k (multi-label, features as they come) and a subset of CIFAR-10 (features of a
MobileNetV2 at 160 px, made once and kept in the cache). FOLDER holds
``data/features_corel5k.npz``, ``data/cifar10.tar`` and ``models/mobilenetv2`` (a local timm model).
Mean average precision over the whole database, for three rankings of the same embeddings: `cosine`
(real on both sides: what the loss has learned), `sign` (Hamming, codes are the signs of the
embeddings) and `h2q` (Hamming, codes after the graduated rotation, fitted on the training rows).
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import tarfile
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import h2q
from h2q.evaluation import mean_average_precision
from h2q.learning import losses
from h2q.learning.losses import protocol

OWN = ["untrained", *losses.names()]
METRIC_LEARNING = [
    "pml:TripletMarginLoss",
    "pml:MultiSimilarityLoss",
    "pml:ProxyAnchorLoss",
    "pml:NTXentLoss",
]
BITS = (16, 32, 64)
DIMENSION = 256
SIDE = 160


@dataclass(frozen=True)
class Data:
    """Features (n, 256) and multi-hot labels of the three parts."""

    features: dict[str, Tensor]
    labels: dict[str, Tensor]


# --- data -------------------------------------------------------------------------------------


def corel5k(folder: Path) -> Data:
    """2,000 training, 500 query and 2,432 database images, 81 words."""
    with np.load(folder / "data" / "features_corel5k.npz", allow_pickle=False) as file:
        labels = np.unpackbits(file["labels"], axis=1)[:, : len(file["words"])]
        return split_up(file["features"].astype(np.float32), labels, file["split"])


def cifar10(folder: Path, cache: Path) -> Data:
    """5,000 training, 5,000 database and 1,000 query images: the first 1,100 of each class."""
    with tarfile.open(folder / "data" / "cifar10.tar") as tar:
        files = {Path(m.name).name: m for m in tar.getmembers() if m.isfile()}
        classes = np.array(tar.extractfile(files["labels.txt"]).read().split(), dtype=np.int64)
        rows = np.concatenate([np.flatnonzero(classes == c)[:1100] for c in range(10)])
        split = np.array((["train"] * 500 + ["database"] * 500 + ["query"] * 100) * 10)
        sheets = {}
        for sheet in np.unique(rows // 1000):
            path = cache / "sheets" / f"{sheet:02d}.npy"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                image = tar.extractfile(files[f"sheet_{sheet:02d}.webp"]).read()
                features = embed(folder / "models" / "mobilenetv2", image)
                np.save(path.with_suffix(".part.npy"), features)
                path.with_suffix(".part.npy").replace(path)
            sheets[sheet] = np.load(path, allow_pickle=False)
    features = np.stack([sheets[row // 1000][row % 1000] for row in rows]).astype(np.float32)
    return split_up(features, np.eye(10, dtype=np.uint8)[classes[rows]], split)


def split_up(features: NDArray, labels: NDArray, split: NDArray) -> Data:
    """PCA of the training rows to 256 dimensions, rows scaled to a mean norm of 16."""
    train = split == "train"
    centre = features[train].mean(axis=0)
    axes = np.linalg.svd(features[train] - centre, full_matrices=False)[2][:DIMENSION]
    x = (features - centre) @ axes.T
    x *= DIMENSION**0.5 / np.linalg.norm(x[train], axis=1).mean()
    parts = ("train", "query", "database")
    return Data(
        {part: torch.from_numpy(x[split == part]).float() for part in parts},
        {part: torch.from_numpy(labels[split == part]).float() for part in parts},
    )


@torch.inference_mode()
def embed(model_folder: Path, sheet: bytes) -> NDArray:
    """Features of the 1,000 tiles of a sheet (1000, 1280), enlarged to 160 px."""
    import timm

    model = timm.create_model(f"local-dir:{model_folder}", pretrained=True, num_classes=0)
    model = model.eval().to(memory_format=torch.channels_last)
    image = Image.open(io.BytesIO(sheet)).convert("RGB")
    corners = [(32 * column, 32 * row) for row in range(25) for column in range(40)]
    features = []
    for start in range(0, len(corners), 50):
        tiles = [
            image.crop((x, y, x + 32, y + 32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            for x, y in corners[start : start + 50]
        ]
        pixels = torch.from_numpy(np.stack([np.asarray(tile) for tile in tiles]))
        x = pixels.permute(0, 3, 1, 2).float().div(127.5).sub(1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            features.append(model(x.contiguous(memory_format=torch.channels_last)).float())
    return torch.cat(features).numpy().astype(np.float16)


# --- training ---------------------------------------------------------------------------------


def train_layer(loss: nn.Module, x: Tensor, y: Tensor, layer: nn.Linear, arguments, seed: int):
    """Adam on the layer and the loss's own parameters, as `losses.protocol` asks."""
    groups = [{"params": list(layer.parameters()), "lr": arguments.lr}]
    if protocol.has_parameter_groups(loss):
        groups += loss.parameter_groups(arguments.lr)
    optimizer = torch.optim.Adam(groups, lr=arguments.lr, weight_decay=5e-4)
    driven = protocol.driven_by_dataset(loss)
    if driven:
        loss.on_dataset(y)
    # A loss that trains on some of the rows in an epoch gets as many steps, in more epochs.
    first = loss.epoch_rows(0) if driven else None
    batches = -(-len(x if first is None else first) // arguments.batch_size)
    epochs = -(-arguments.steps // batches)
    generator = torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        if protocol.has_epoch_start(loss):
            loss.on_epoch_start(epoch, epochs)
        rows = loss.epoch_rows(epoch) if driven else None
        rows = torch.arange(len(x)) if rows is None else rows
        shuffled = rows[torch.randperm(len(rows), generator=generator)]
        for batch in shuffled.split(arguments.batch_size):
            extra = {"indices": batch} if driven else {}
            optimizer.zero_grad()
            value = loss(layer(x[batch]), y[batch], **extra)
            value.backward()
            optimizer.step()
        rows = loss.rows_to_embed(epoch) if driven else None
        if rows is not None:
            with torch.no_grad():
                loss.on_epoch_end(layer(x[rows]), rows)


def score(data: Data, layer: nn.Linear) -> dict[str, float]:
    """Mean average precision in percent, by ranking."""
    with torch.no_grad():
        z = {part: layer(x).numpy() for part, x in data.features.items()}
    quantizer = h2q.HouseholderQuantizer(random_state=0).fit(z["train"])
    marks = (data.labels["query"].numpy(), data.labels["database"].numpy())

    def value(query: NDArray, database: NDArray, ranking: str) -> float:
        result = mean_average_precision(query, database, *marks, rank=ranking)
        return round(100 * float(result), 2)

    return {
        "cosine": value(z["query"], z["database"], "cosine"),
        "sign": value(z["query"], z["database"], "hamming"),
        "h2q": value(quantizer.rotate(z["query"]), quantizer.rotate(z["database"]), "hamming"),
    }


def run(data: Data, name: str, n_bits: int, seed: int, arguments) -> dict[str, float]:
    """Train one loss, or leave the layer as it is, and score it."""
    torch.manual_seed(seed)
    x, y = data.features["train"], data.labels["train"]
    layer = nn.Linear(x.shape[1], n_bits)
    start = time.perf_counter()
    if name != "untrained":
        options = json.loads(arguments.options)
        loss = losses.create(name, n_bits=n_bits, n_classes=y.shape[1], **options)
        train_layer(loss, x, y, layer, arguments, seed)
    seconds = time.perf_counter() - start
    return score(data, layer) | {"seconds": round(seconds, 1)}


# --- the table --------------------------------------------------------------------------------


def markdown(rows: list[dict]) -> str:
    """One table a data set: a row a loss, mean over seeds of each ranking at each length."""
    lines = []
    for data in dict.fromkeys(row["data"] for row in rows):
        here = [row for row in rows if row["data"] == data]
        bits = sorted({row["bits"] for row in here})
        rankings = ("cosine", "sign", "h2q")
        head = [f"{ranking} {b}" for ranking in rankings for b in bits]
        lines += [
            f"### {data}",
            "",
            f"| loss | {' | '.join(head)} |",
            "|---" * (len(head) + 1) + "|",
        ]
        for loss in dict.fromkeys(row["loss"] for row in here):
            cells = []
            for ranking in rankings:
                for b in bits:
                    values = [r[ranking] for r in here if r["loss"] == loss and r["bits"] == b]
                    cells.append(f"{np.mean(values):.1f}" if values else "")
            lines.append(f"| {loss.removeprefix('pml:')} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Run what the arguments ask for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "h2q-bench")
    parser.add_argument("--data", nargs="+", default=["corel5k", "cifar10"])
    parser.add_argument("--losses", nargs="+", default=[*OWN, *METRIC_LEARNING])
    parser.add_argument("--bits", nargs="+", type=int, default=BITS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--steps", type=int, default=500, help="of Adam; whole epochs")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--options", default="{}", help="JSON, for every loss named")
    parser.add_argument("--csv", type=Path, help="append each result to this file as it comes")
    parser.add_argument("--table", action="store_true", help="only print the table of --csv")
    arguments = parser.parse_args()

    if arguments.table:
        with arguments.csv.open() as file:
            rows = [
                {k: v if k in ("data", "loss") else float(v) for k, v in row.items()}
                for row in csv.DictReader(file)
            ]
        print(markdown([row | {"bits": int(row["bits"])} for row in rows]))
        return

    rows = []
    for which in arguments.data:
        if which == "corel5k":
            data = corel5k(arguments.folder)
        else:
            data = cifar10(arguments.folder, arguments.cache)
        multi_label = bool((data.labels["train"].sum(dim=1) != 1).any())
        # These take one label an item.
        chosen = [n for n in arguments.losses if not (multi_label and n.startswith("pml:"))]
        for seed, n_bits, name in product(arguments.seeds, arguments.bits, chosen):
            row = {"data": which, "loss": name, "bits": n_bits, "seed": seed}
            row |= run(data, name, n_bits, seed, arguments)
            rows.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
            if arguments.csv:
                append(arguments.csv, row)
    print(markdown(rows))


def append(path: Path, row: dict) -> None:
    """Add a row to a CSV file, with a header if it is new."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    main()
