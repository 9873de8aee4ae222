"""What a plan for many items starts from: rates a core and bytes an item, measured small.

    OMP_NUM_THREADS=1 python bench/scale.py                  # 400,000 embeddings, 96 photos
    OMP_NUM_THREADS=1 python bench/scale.py --rows 50000 --photos 16

Prints one JSON object; `docs/scale.md` says what it is used for. Everything runs in this process on
one thread, so a rate is a rate a core. Rates are of this machine at this time; the scans are also
given as a ratio to faiss's `IndexBinaryFlat` on the same codes, the two taking turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import psutil
from PIL import Image

from h2q import HouseholderQuantizer, open_collection
from h2q.ingest import bulk_encode, bulk_index_rows, fit_shards
from h2q.ingest.listing import list_photos
from h2q.ingest.units import photo_units

SHARD = 50_000


def cpu(function: Callable[[], object]) -> float:
    """CPU seconds of a call: other processes on the machine do not count."""
    start = time.process_time()
    function()
    return time.process_time() - start


def make_shards(folder: Path, rows: int, columns: int) -> None:
    """Clustered float32 rows in .npy files."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((200, columns), dtype=np.float32)
    for number, start in enumerate(range(0, rows, SHARD)):
        n = min(SHARD, rows - start)
        part = rng.standard_normal((n, columns), dtype=np.float32)
        np.save(folder / f"{number:05d}.npy", part + centres[rng.integers(0, 200, n)])


def scans(uri: str, codes: np.ndarray, queries: np.ndarray, k: int = 10) -> dict[str, float]:
    """Count searches a second and core; faiss takes turns with us for the ratios."""
    flat = faiss.IndexBinaryFlat(codes.shape[1] * 8)
    flat.add(codes)
    packed = np.packbits(queries > 0, axis=1)
    times: dict[str, list[float]] = {"faiss": [], "hamming": [], "asymmetric": []}
    with open_collection(uri, mode="r") as collection:
        jobs = {
            "faiss": lambda: flat.search(packed, k),
            "hamming": lambda: collection.search(packed, k),
            "asymmetric": lambda: collection.search(queries, k),
        }
        for job in jobs.values():
            job()
        for _ in range(5):
            for name, job in jobs.items():
                times[name].append(cpu(job))
    best = {name: statistics.median(values) for name, values in times.items()}
    return {
        **{f"{name}_queries_per_second": round(len(queries) / t, 1) for name, t in best.items()},
        "hamming_to_faiss": round(best["hamming"] / best["faiss"], 2),
        "asymmetric_to_faiss": round(best["asymmetric"] / best["faiss"], 2),
    }


def rows_part(folder: Path, args: argparse.Namespace) -> dict[str, object]:
    """Fit, encode, index and search embeddings."""
    shards, found = folder / "shards", {}
    make_shards(shards, args.rows, args.columns)
    quantizer = HouseholderQuantizer(n_bits=args.bits, random_state=0)
    reading = cpu(lambda: fit_shards(str(shards), quantizer, with_error=False))
    solving = cpu(lambda: quantizer.rotation_)
    found["fit_rows_per_second"] = round(args.rows / reading)
    found["solve_seconds"] = round(solving, 2)
    encoding = cpu(lambda: bulk_encode(str(shards), quantizer, str(folder / "codes")))
    found["encode_rows_per_second"] = round(args.rows / encoding)
    parts = sum(path.stat().st_size for path in (folder / "codes").glob("*.npz"))
    found["bytes_of_parts_per_item"] = round(parts / args.rows, 1)
    uri = str(folder / "items.h2q")
    with open_collection(uri, n_bits=args.bits) as collection:
        journal = folder / "units"
        storing = cpu(lambda: bulk_index_rows(str(folder / "codes"), collection, journal=journal))
    found["store_codes_per_second"] = round(args.rows / storing)
    disk = sum(path.stat().st_size for path in folder.glob("items.h2q*"))
    found["bytes_of_collection_per_item"] = round(disk / args.rows, 1)
    codes = np.concatenate(
        [np.load(path)["codes"] for path in sorted((folder / "codes").glob("*.npz"))]
    )
    queries = np.random.default_rng(1).standard_normal((200, args.bits)).astype(np.float32)
    before = psutil.Process().memory_info().rss
    with open_collection(uri, mode="r") as collection:
        collection.search(queries[:1], 10)
        held = psutil.Process().memory_info().rss - before
    found["bytes_in_memory_per_item"] = round(held / args.rows, 1)
    found["scan"] = scans(uri, codes, queries)
    return found


def photos_part(folder: Path, args: argparse.Namespace) -> dict[str, object]:
    """Read, embed and code photos, as a worker does it."""
    import torch

    from h2q.ingest import bulk_index_photos
    from h2q.learning import Hasher, backbones

    torch.set_num_threads(1)
    torch.manual_seed(0)
    photos = folder / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for i in range(args.photos):
        small = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(small).resize((640, 480)).save(photos / f"{i:04d}.jpg", quality=85)
    backbone = backbones.create(args.backbone, pretrained=False)  # as fast as a trained one
    model = Hasher(backbone, n_bits=args.bits).to_bytes()
    with open_collection(str(folder / "photos.h2q"), n_bits=args.bits, model=model) as collection:
        seconds = cpu(
            lambda: bulk_index_photos(
                str(photos), collection, model, device="cpu", batch_size=16, unit_size=32
            )
        )
    return {"backbone": args.backbone, "photos_per_second": round(args.photos / seconds, 2)}


def listing_part(folder: Path, n: int = 20_000) -> dict[str, object]:
    """Bytes that a photo takes: of the driver's listing, and of a collection with its payload."""
    names = [f"{i // 1000:03d}/IMG_{i:07d}.jpg" for i in range(n)]
    for name in names:
        path = folder / "listing" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    tracemalloc.start()
    units = photo_units(list_photos(folder / "listing").files())
    listed, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    files = [file for unit in units for file in unit.files]
    payloads = [file.payload("0" * 64, {}) for file in files]
    codes = np.random.default_rng(0).integers(0, 256, (n, 8), dtype=np.uint8)
    with open_collection(str(folder / "listing.h2q"), n_bits=64) as collection:
        collection.add([file.name for file in files], codes, payloads)
    disk = sum(path.stat().st_size for path in folder.glob("listing.h2q*"))
    return {
        "bytes_of_listing_per_photo": round(listed / n),
        "bytes_of_collection_per_photo": round(disk / n),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--columns", type=int, default=256)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--photos", type=int, default=96)
    parser.add_argument("--backbone", default="mobilenetv2_100")
    args = parser.parse_args()
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        result: dict[str, object] = {"rows": args.rows, "columns": args.columns, "bits": args.bits}
        result["embeddings"] = rows_part(Path(name), args)
        if args.photos:
            result["photos"] = photos_part(Path(name), args) | listing_part(Path(name))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
