"""What h2q takes on a GPU, as a ratio to bare PyTorch doing the same work in the same run.

    python bench/gpu.py --out gpu.json
    python bench/gpu.py --small                      # a rehearsal, on any machine

Under five minutes. Speeds are work a second: a ratio of 1 is bare PyTorch, above it is faster.
Images are random, of 32 x 32 pixels in memory (JPEG files of 400 x 300 for folders), and weights
are random, unless `--mobilenet local-dir:FOLDER` gives some: the share of flipped bits means
something only with those.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import os
import re
import statistics
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from h2q import HouseholderQuantizer
from h2q.datasets import Dataset, Items
from h2q.datasets.sources import ImageArray
from h2q.evaluation import evaluate
from h2q.images import read_image
from h2q.ingest.embedding import embed_folder
from h2q.ingest.encoder import PhotoEncoder
from h2q.ingest.read_ahead import read_ahead
from h2q.learning import Hasher, TrainConfig, backbones, bulk, fit, losses
from h2q.learning.training.feature_cache import FeatureCache
from h2q.learning.training.module import Embedder, Step, make_optimizer

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CORES = len(os.sched_getaffinity(0))


def sync() -> None:
    """Wait for the device."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def seconds(work: Callable[[], object], repeats: int = 5, warm: int = 2) -> float:
    """Median time of a call."""
    for _ in range(warm):
        work()
    times = []
    for _ in range(repeats):
        sync()
        start = time.perf_counter()
        work()
        sync()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


class Busy:
    """Share of the time in which the GPU ran something, by the driver's own counter."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self._end = threading.Event()

    def __enter__(self) -> Busy:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._end.wait(0.1):
            with contextlib.suppress(Exception):
                self.seen.append(torch.cuda.utilization())

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    @property
    def share(self) -> float | None:
        """Mean of what was seen."""
        return statistics.mean(self.seen) / 100 if self.seen else None


class Bench:
    """The measurements, one method each; what one says is kept though another fails."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.small, self.folder = options.small, folder
        self.batch = 8 if self.small else 128
        self.n = 64 if self.small else 5120
        self.mobilenet = options.mobilenet
        sides = (32, 64, 64) if self.small else (160, 224, 224)
        self.networks = {
            "MobileNetV2": (self.mobilenet, sides[0]),
            "ResNet-50": ("resnet18" if self.small else "resnet50", sides[1]),
            "AlexNet": ("alexnet", sides[2]),
        }
        if self.small:
            del self.networks["AlexNet"]
        rng = np.random.default_rng(0)
        count = self.n + (16 if self.small else 512)
        pixels = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        if options.images is not None:
            pixels = np.load(options.images)[np.arange(count) % len(np.load(options.images))]
        self.items = Items(
            labels=np.arange(count) % 10,
            ids=[str(i) for i in range(count)],
            images=ImageArray(pixels),
        )

    # ---------------------------------------------------------------- training

    def _dataset(self, validation: int) -> Dataset:
        def part(start: int, stop: int) -> Items:
            return self.items.take(np.arange(start, stop))

        some = part(0, 10)
        train, held_out = part(0, self.n), part(self.n, self.n + validation)
        return Dataset("bench", [str(i) for i in range(10)], train, held_out, some, some)

    def _backbone(self, name: str, side: int) -> Any:
        return backbones.create(name, pretrained=name.startswith("local"), image_size=side)

    def _bare_step(self, name: str, side: int) -> Callable[[], object]:
        hasher = Hasher(self._backbone(name, side), 32)
        embedder = Embedder(hasher, on_features=False, freeze_backbone=False)
        embedder.to(DEVICE, memory_format=torch.channels_last)
        loss = losses.create("cel", n_bits=32, n_classes=10).to(DEVICE)
        optimizer = make_optimizer(
            Step(embedder, loss).train(), TrainConfig(), fused=DEVICE.type == "cuda"
        )
        x = torch.randn(self.batch, 3, side, side, device=DEVICE)
        x = x.contiguous(memory_format=torch.channels_last)
        y = nn.functional.one_hot(torch.arange(self.batch, device=DEVICE) % 10, 10).float()

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(DEVICE.type, torch.bfloat16, enabled=not self.small):
                z = embedder(x)
            loss(z.float(), y).backward()
            optimizer.step()

        return step

    def _bare_rate(self, name: str, side: int) -> float:
        step = self._bare_step(name, side)
        many = 1 if self.small else 10
        torch.backends.cudnn.benchmark = True
        try:
            took = seconds(lambda: [step() for _ in range(many)], 3, 1)
        finally:
            torch.backends.cudnn.benchmark = False
        return self.batch * many / took

    def _fit(self, name: str, side: int, validation: int, **options: Any) -> list[float]:
        """Seconds of each epoch after the first."""
        with tempfile.TemporaryDirectory(dir=self.folder) as out:
            result = fit(
                self._dataset(validation),
                out=out,
                backbone=self._backbone(name, side),
                n_bits=32,
                epochs=2 if self.small else 5,
                patience=None,
                batch_size=self.batch,
                precision="32" if self.small else "bf16",
                augment="flip",
                progress=False,
                quantizer="itq",
                **options,
            )
        return [row["seconds"] for row in result.history[1:]]

    def training(self) -> Iterator[dict[str, Any]]:
        """Epochs with next to no validation, held and read anew by eight processes."""
        for title, (name, side) in self.networks.items():
            bare = self._bare_rate(name, side)
            ways: dict[str, dict[str, Any]] = {
                "held on the device": {},
                "8 loader workers": {"held_gib": 0.0, "num_workers": 1 if self.small else 8},
            }
            for way, options in ways.items():
                took = self._fit(name, side, 10, validation_rows=10, **options)
                steps = self.n // self.batch
                yield {
                    "work": f"training epoch, {title} at {side} px, {way}",
                    "ours": steps * self.batch / statistics.median(took),
                    "bare": bare,
                    "unit": "images/s",
                    "goal": 0.8 if title == "AlexNet" else 0.9,
                    "epochs_s": took,
                }

    def whole_run(self) -> Iterator[dict[str, Any]]:
        """Validate 500 items against 5,000 in every epoch."""
        if DEVICE.type != "cuda":
            return
        for title in ("MobileNetV2", "ResNet-50"):
            name, side = self.networks[title]
            with Busy() as busy:
                took = self._fit(name, side, 500)
            yield {
                "work": f"a whole run with validation, {title}",
                "ratio": busy.share,
                "unit": "share of the time the GPU is busy, start and end included",
                "goal": 0.7,
                "epochs_s": took,
            }

    # ---------------------------------------------------------------- embedding

    def _hasher(self, name: str, side: int, precision: bulk.Precision = "32") -> Hasher:
        return Hasher(self._backbone(name, side), 32, precision=precision).to(DEVICE).eval()

    def _bare_forward(self, hasher: Hasher, side: int, layout: torch.memory_format) -> float:
        batch = 8 if self.small else 256
        x = torch.randn(batch, 3, side, side, device=DEVICE).contiguous(memory_format=layout)
        hasher.to(memory_format=layout)
        many = 1 if self.small else 20
        with torch.inference_mode(), bulk.computing_in(DEVICE, hasher.precision):
            took = seconds(lambda: [hasher.embed(x) for _ in range(many)], 3, 1)
        return batch * many / took

    def embedding(self) -> Iterator[dict[str, Any]]:
        """Items of 32 x 32 pixels, and the layouts and precisions beside it."""
        many = 128 if self.small else 40_000
        for title in ("MobileNetV2", "ResNet-50"):
            name, side = self.networks[title]
            items = self.items.take(
                np.arange(many if title == "MobileNetV2" else many // 2) % self.n
            )
            for precision in ("32", "tf32", "bf16"):
                hasher = self._hasher(name, side, precision)
                other = self._bare_forward(hasher, side, torch.contiguous_format)
                bare = self._bare_forward(hasher, side, torch.channels_last)
                hasher.embed_items(items.take(np.arange(min(300, len(items)))), num_workers=0)
                start = time.perf_counter()
                hasher.embed_items(items)
                yield {
                    "work": f"embed_items, {title} at {side} px, precision {precision}",
                    "ours": len(items) / (time.perf_counter() - start),
                    "bare": bare,
                    "bare_in_the_plain_layout": other,
                    "unit": "images/s",
                    "goal": 0.8,
                }

    def frozen(self) -> Iterator[dict[str, Any]]:
        """Features of a frozen backbone, as `fit` makes them."""
        name, side = self.networks["MobileNetV2"]
        backbone = self._backbone(name, side).to(DEVICE).eval()
        hasher = self._hasher(name, side)
        bare = self._bare_forward(hasher, side, torch.channels_last)
        count = 64 if self.small else 5120
        start = time.perf_counter()
        FeatureCache(self.folder / "features", backbone).features(
            self.items.take(np.arange(count)), "train"
        )
        ours = count / (time.perf_counter() - start)
        with tempfile.TemporaryDirectory(dir=self.folder) as out:
            start = time.perf_counter()
            fit(
                self._dataset(10), out=out, backbone=backbone.cpu(), n_bits=32, epochs=2,
                freeze_backbone=True, progress=False, quantizer="itq",
            )  # fmt: skip
            whole = time.perf_counter() - start
        yield {
            "work": f"features of a frozen MobileNetV2 at {side} px",
            "ours": ours,
            "bare": bare,
            "unit": "images/s",
            "fit_of_two_epochs_s": whole,
        }

    def folders(self) -> Iterator[dict[str, Any]]:
        """JPEG files against decoding and resizing them on all cores, and nothing else."""
        from h2q import open_collection
        from h2q.ingest.folder import index_folder

        count = 40 if self.small else 6144
        photos = self.folder / "photos"
        photos.mkdir()
        with ProcessPoolExecutor(CORES) as pool:
            list(pool.map(_photo, [(photos, i) for i in range(count)], chunksize=64))
        paths = sorted(photos.iterdir())
        name, side = self.mobilenet, 64 if self.small else 224
        encoder = PhotoEncoder(self._hasher(name, side), str(DEVICE))

        def prepare(path: Path) -> int:
            return int(encoder.prepare(read_image(path))[0, 0, 0])

        def rate(work: Callable[[], object]) -> float:
            start = time.perf_counter()
            work()
            return count / (time.perf_counter() - start)

        alone: dict[str, float] = {}
        for threads in (1, 8, CORES):
            few = paths[: max(8, count // 4)]
            with ThreadPoolExecutor(threads) as workers:
                start = time.perf_counter()
                list(workers.map(prepare, few))
                alone[f"{threads} threads"] = len(few) / (time.perf_counter() - start)
        start = time.perf_counter()
        work = [paths[i::CORES] for i in range(CORES)]
        running = [_Forked(prepare, part) for part in work]
        for each in running:
            each.join()
        alone["processes"] = count / (time.perf_counter() - start)
        alone["handed over"] = rate(
            lambda: sum(
                1
                for _ in read_ahead(
                    lambda p: encoder.prepare(read_image(p)), paths, ahead=512, processes=True
                )
            )
        )
        bare = self._bare_forward(encoder.hasher, side, torch.channels_last)
        encoder.embed([encoder.prepare(read_image(path)) for path in paths[:8]])
        common = {
            "bare": alone["processes"], "unit": "photos/s", "goal": 0.8, "decoding": alone,
            "bare_forward": bare,
        }  # fmt: skip
        ours = rate(lambda: embed_folder(photos, encoder))
        yield {"work": f"embed_folder of JPEGs at {side} px", "ours": ours, **common}
        with open_collection(str(self.folder / "photos.h2q"), n_bits=32) as collection:
            ours = rate(lambda: index_folder(photos, collection, encoder))
        yield {"work": f"index_folder of JPEGs at {side} px", "ours": ours, **common}

    def precisions(self) -> Iterator[dict[str, Any]]:
        """Share of bits that differ from those of the CPU in float32."""
        name, side = self.networks["MobileNetV2"]
        hasher = self._hasher(name, side)
        items = self.items.take(np.arange(32 if self.small else 512))
        here = {p: hasher.embed_items(items, precision=p) for p in ("32", "tf32", "16", "bf16")}
        hasher.cpu()
        there = hasher.embed_items(items)
        quantizer = HouseholderQuantizer(random_state=0).fit(there)
        codes = quantizer.transform(there)
        for precision, rows in here.items():
            flipped = np.unpackbits(quantizer.transform(rows) ^ codes).mean()
            yield {
                "work": f"bits flipped by precision {precision} on this device",
                "ratio": float(flipped),
                "unit": "share of bits",
                "goal_below": 0.001 if precision in ("32", "tf32") else None,
                "rows_differ_by": float(np.linalg.norm(rows - there) / np.linalg.norm(there)),
            }

    # ---------------------------------------------------------------- stage 2 and evaluation

    def stage2(self) -> Iterator[dict[str, Any]]:
        """Fit and code a million rows of 64 columns on the device."""
        n = 61_000 if self.small else 1_000_000
        generator = torch.Generator(device=DEVICE).manual_seed(0)
        x = torch.empty(n, 64, device=DEVICE).exponential_(generator=generator) - 1
        x = x @ torch.randn(64, 64, device=DEVICE, generator=generator)
        some = x[:50_000].contiguous()
        fitted = HouseholderQuantizer(random_state=0).fit(x)
        bare = seconds(lambda: _itq(some), 3, 1)
        ours = seconds(lambda: HouseholderQuantizer(random_state=0).fit(x), 3, 1)
        rotation = fitted.rotation_.double()
        eye = torch.eye(64, dtype=torch.float64, device=DEVICE)
        yield {
            "work": f"fit {n} x 64 / bare ITQ (50 steps, an SVD each) of 50,000 rows",
            "ours": 1 / ours, "bare": 1 / bare, "unit": "fits/s", "goal": 1.0,
            "orthogonal_within": float((rotation.T @ rotation - eye).abs().max()),
        }  # fmt: skip
        for width, bits in ((64, 64), (384, 128)):
            rows = x if width == 64 else x[: n // 4].repeat(1, 6)[:, :width].contiguous()
            quantizer = HouseholderQuantizer(bits if bits < width else None, random_state=0)
            few = rows[:15_000]
            quantizer.fit(few + 0.1 * torch.randn(few.shape, device=DEVICE))
            matrix = torch.randn(width, bits, device=DEVICE)
            weights = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8, device=DEVICE)

            def pack(rows: Any = rows, matrix: Any = matrix, weights: Any = weights) -> Any:
                bits = (rows @ matrix) > 0
                return (bits.view(len(rows), -1, 8) * weights).sum(2, dtype=torch.uint8)

            yield {
                "work": f"transform {len(rows)} x {width} to {bits} bits / GEMM and pack",
                "ours": len(rows) / seconds(lambda: quantizer.transform(rows), 7),  # noqa: B023
                "bare": len(rows) / seconds(pack, 7),
                "gemm_alone": len(rows) / seconds(lambda: rows @ matrix, 7),  # noqa: B023
                "unit": "rows/s",
                "goal": 1 / 1.3,
            }

    def evaluation(self) -> Iterator[dict[str, Any]]:
        """Hamming mAP@5000 of 5,000 queries and 200,000 items, against counting alone."""
        nq, nd, k, top = (200, 20_000, 64, 500) if self.small else (5000, 200_000, 64, 5000)
        generator = torch.Generator(device=DEVICE).manual_seed(0)
        centres = torch.randn(100, k, device=DEVICE, generator=generator)
        labels = torch.randint(0, 100, (nq + nd,), device=DEVICE, generator=generator)
        z = centres[labels] + torch.randn(nq + nd, k, device=DEVICE, generator=generator)
        sides = (z[:nq], z[nq:], labels[:nq], labels[nq:])
        options: dict[str, Any] = {"k": top, "ranks": ["hamming"], "radii": ()}
        ours = seconds(lambda: evaluate(*sides, **options), 3, 1)
        bare = seconds(lambda: _histogram(*sides), 3, 1)
        whole = seconds(lambda: evaluate(*sides, k=top), 1, 1)
        yield {
            "work": f"Hamming evaluation of {nq} x {nd} / a plain histogram",
            "ours": 1 / ours, "bare": 1 / bare, "unit": "runs/s", "goal": 0.5,
            "four_rankings_s": whole,
        }  # fmt: skip


def _photo(what: tuple[Path, int]) -> None:
    folder, i = what
    rng = np.random.default_rng(i)
    small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    small.resize((400, 300), Image.Resampling.BICUBIC).save(folder / f"{i:05d}.jpg", quality=90)


class _Forked:
    """A function over a list in a forked process, results thrown away."""

    def __init__(self, function: Callable[[Any], object], items: list[Any]) -> None:
        self._pid = os.fork()
        if self._pid == 0:
            try:
                for item in items:
                    function(item)
            finally:
                os._exit(0)

    def join(self) -> None:
        """Wait for it."""
        os.waitpid(self._pid, 0)


def _itq(z: torch.Tensor, steps: int = 50) -> torch.Tensor:
    k = z.shape[1]
    z = z * (k**0.5 / z.norm(dim=1, keepdim=True))
    r = torch.linalg.qr(torch.randn(k, k, device=z.device))[0]
    for _ in range(steps):
        u, _, vt = torch.linalg.svd(z.T @ torch.sign(z @ r))
        r = u @ vt
    return r


def _histogram(q: torch.Tensor, b: torch.Tensor, ql: torch.Tensor, bl: torch.Tensor) -> None:
    """Items, and relevant items, at each distance, by the plainest fast way."""
    k = q.shape[1]
    qs, bs = (torch.where(z > 0, 1.0, -1.0) for z in (q, b))
    for start in range(0, len(q), 20):
        distance = ((k - qs[start : start + 20] @ bs.T) / 2).to(torch.int32)
        bins = distance * 2 + (ql[start : start + 20, None] == bl)
        rows = torch.arange(len(bins), device=q.device, dtype=torch.int32)[:, None]
        width = 2 * (k + 1)
        torch.bincount((bins + rows * width).reshape(-1), minlength=width * len(bins))


def _line(row: dict[str, Any]) -> str:
    if "error" in row:
        return f"{row['work']}: failed"
    text = f"{row['work']:<72} {row['ratio']:8.4f}"
    if "ours" in row:
        text += f"   ({row['ours']:.4g} / {row['bare']:.4g} {row['unit']})"
    if row.get("goal") is not None:
        text += f"   goal {row['goal']:.2f}"
    return text


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--only", default="", help="names of measurements, a regular expression")
    parser.add_argument("--mobilenet", default="mobilenetv2_100", help="local-dir:FOLDER")
    parser.add_argument("--images", type=Path, help=".npy of uint8 (n, 32, 32, 3)")
    parser.add_argument("--seconds", type=float, default=290, help="start nothing after these")
    options = parser.parse_args()
    logging.getLogger("lightning").setLevel(logging.ERROR)
    name = torch.cuda.get_device_name(0) if DEVICE.type == "cuda" else "no GPU"
    found: dict[str, Any] = {
        "device": name, "cores": CORES, "torch": torch.__version__, "small": options.small,
        "rows": [],
    }  # fmt: skip
    print(f"{name}, {CORES} cores, torch {torch.__version__}", flush=True)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        for step in (
            bench.stage2, bench.evaluation, bench.precisions, bench.frozen, bench.embedding,
            bench.training, bench.whole_run, bench.folders,
        ):  # fmt: skip
            if not re.search(options.only, step.__name__):
                continue
            if time.perf_counter() - began > options.seconds:
                found["rows"].append({"work": step.__name__, "error": "no time was left"})
                continue
            try:
                for row in step():
                    if "ours" in row:
                        row["ratio"] = row["ours"] / row["bare"]
                    row["at_s"] = round(time.perf_counter() - began, 1)
                    found["rows"].append(row)
                    print(_line(row), flush=True)
                    _write(options.out, found)
            except Exception:
                found["rows"].append({"work": step.__name__, "error": traceback.format_exc()})
                traceback.print_exc()
            gc.collect()
            if DEVICE.type == "cuda":
                torch.cuda.empty_cache()
    found["seconds"] = round(time.perf_counter() - began, 1)
    _write(options.out, found)


def _write(path: Path | None, found: dict[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
