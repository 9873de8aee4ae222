"""What codes of untrained photo features are worth: mean average precision, several seeds.

Each photo of a labelled folder is embedded by the default encoder. For every seed a fifth of each
class asks, the rest is the database, on which projection and rotation are fitted without labels.
Beside our solver: ITQ, a random rotation after PCA (the training-free baseline of arXiv
2509.14427), PCA and signs alone, and the cosine of the real features.

    python bench/photo_codes.py FOLDER --out docs/results/photos.csv
    python bench/photo_codes.py FOLDER --encoder efficientnet-lite2 --bits 64 --few --out lite2.csv

The CPU time of the network alone is told beside it (one thread, photos in memory).
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from h2q import (
    HouseholderQuantizer,
    ITQQuantizer,
    RandomRotationQuantizer,
    SignQuantizer,
)
from h2q.encoders import DEFAULT, Encoder, load_encoder
from h2q.evaluation import mean_average_precision
from h2q.images import read_photo, scan_folder
from h2q.ingest.photos import fit_on_photos
from h2q.ingest.read_ahead import read_ahead

METHODS = {
    "PCA + H2Q (graduated)": HouseholderQuantizer,
    "PCA + ITQ": ITQQuantizer,
    "PCA + random rotation": RandomRotationQuantizer,
    "PCA": SignQuantizer,
}


def features(folder: Path, encoder: Encoder) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embed the photos of a folder; the first folder below it is the class."""
    paths = scan_folder(folder)

    def load(path: Path) -> NDArray[np.uint8]:
        prepared: NDArray[np.uint8] = encoder.prepare(
            read_photo(path, draft_side=encoder.draft_side).image
        )
        return prepared

    rows, batch = [], []
    for prepared in read_ahead(load, paths, ahead=128):
        batch.append(prepared)
        if len(batch) == 64:
            rows.append(encoder.embed(batch))
            batch = []
    rows.append(encoder.embed(batch))
    names = [path.relative_to(folder).parts[0] for path in paths]
    return np.concatenate(rows), np.unique(names, return_inverse=True)[1]


def milliseconds(folder: Path, encoder: Encoder) -> float:
    """CPU time of the network, a photo: the least of five turns."""
    paths = scan_folder(folder)[:64]
    prepared = [encoder.prepare(read_photo(path).image) for path in paths]
    turns = []
    for _ in range(5):
        began = time.process_time()
        encoder.embed(prepared)
        turns.append(1e3 * (time.process_time() - began) / len(prepared))
    return min(turns)


def split(labels: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Let a fifth of each class ask; the rest is to be found."""
    generator = np.random.default_rng(seed)
    ask: list[int] = []
    for label in np.unique(labels):
        places = generator.permutation(np.flatnonzero(labels == label))
        ask.extend(places[: len(places) // 5].tolist())
    rest = np.setdiff1d(np.arange(len(labels)), ask)
    return np.array(sorted(ask)), rest


def main() -> None:
    """Run all and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--features", type=Path, help="Keep the features here (.npz).")
    parser.add_argument("--encoder", default=DEFAULT)
    parser.add_argument("--out", type=Path, default=Path("docs/results/photos.csv"))
    parser.add_argument("--bits", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument("--few", type=int, nargs="*", default=[5, 20, 50, 100, 200, 500, 1500])
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    encoder = load_encoder(args.encoder)
    print(f"{encoder.name}: {milliseconds(args.folder, encoder):.1f} ms of CPU a photo")
    if args.features and args.features.exists():
        with np.load(args.features) as kept:
            rows, labels = kept["features"], kept["labels"]
    else:
        rows, labels = features(args.folder, encoder)
        if args.features:
            np.savez(args.features, features=rows, labels=labels)
    found: dict[tuple[str, int, str], list[float]] = {}
    for seed in range(args.seeds):
        ask, rest = split(labels, seed)
        sides = labels[ask], labels[rest]

        def add(
            method: str, bits: int, ranking: str, a: object, b: object, sides: object = sides
        ) -> None:
            value = mean_average_precision(a, b, *sides, rank=ranking)  # type: ignore[misc]
            found.setdefault((method, bits, ranking), []).append(100 * float(value))

        add("cosine of the features", 0, "cosine", rows[ask], rows[rest])
        centre = rows[rest].mean(axis=0)
        add("cosine, centred", 0, "cosine", rows[ask] - centre, rows[rest] - centre)
        for bits in args.bits:
            for method, kind in METHODS.items():
                quantizer = kind(bits, random_state=seed) if method != "PCA" else kind(bits)
                quantizer.fit(rows[rest])
                a, b = quantizer.rotate(rows[ask]), quantizer.rotate(rows[rest])
                for ranking in ("hamming", "asymmetric"):
                    add(method, bits, ranking, a, b)
        for n in args.few:
            sample = np.random.default_rng(seed).permutation(rest)[:n]
            quantizer, _ = fit_on_photos(rows[sample], encoder, 64, random_state=seed)
            a, b = quantizer.rotate(rows[ask]), quantizer.rotate(rows[rest])
            for ranking in ("hamming", "asymmetric"):
                add(f"fitted on {n} photos", 64, ranking, a, b)
        print(f"seed {seed} done", flush=True)
    with args.out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "bits", "ranking", "mAP", "sd", "seeds"])
        for (method, bits, ranking), values in found.items():
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            mean = float(np.mean(values))
            writer.writerow([method, bits, ranking, f"{mean:.2f}", f"{spread:.2f}", len(values)])
            print(f"{method:24} {bits:4} {ranking:11} {mean:6.2f} ± {spread:.2f}")


if __name__ == "__main__":
    main()
