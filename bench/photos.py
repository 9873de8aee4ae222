"""Photos a second, beside what bounds them: the bare network, the decoder, and the disk.

- The whole of `index_photos` (read, hash, decode, resize, embed, fit, code, store) beside the bare
  onnxruntime session on arrays that are in memory already, on the same cores, in turns: one session
  whose threads share each batch of 16, as a session comes, and one called by a thread a core, as
  ours is.
- Decoding alone: threads, with and without the draft mode of JPEG.
- The CPU time of indexing (user + system, fair on a busy machine, too), and what of it the network
  and the decoding take.
- Indexing again what has not changed, beside `os.scandir` + `stat` of every file and one SQL read:
  of id, size and time, and of the text of all payloads alone. CPU time.

    python bench/photos.py FOLDER [--repeats 3] [--photos 400] [--files 100000]
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from h2q import open_collection
from h2q.codes import code_width
from h2q.encoders import DEFAULT, load_encoder
from h2q.encoders.efficientnet_lite import VARIANTS
from h2q.images import find_photos, read_photo, scan_folder
from h2q.ingest.folder import index_folder
from h2q.ingest.models import kept_encoder
from h2q.ingest.photos import index_photos

_BATCH = 16
_SMALL = 2


def session(threads: int) -> Any:
    """Make the bare peer: the encoder's network and nothing of ours around it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        VARIANTS[DEFAULT].graph_file(), options, providers=["CPUExecutionProvider"]
    )


def taken(function: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and CPU time of a call."""
    began, cpu_began = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - began, time.process_time() - cpu_began


def cpu(function: Callable[[], object]) -> float:
    """CPU time of a call, of all threads: user + system."""
    began = time.process_time()
    function()
    return time.process_time() - began


def main() -> None:
    """Measure in turns and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--photos", type=int, default=400, help="Photos indexed a turn.")
    parser.add_argument(
        "--files", type=int, default=100_000, help="Unchanged files looked at; 0: none."
    )
    args = parser.parse_args()
    encoder = load_encoder()
    whole_folder = scan_folder(args.folder)
    paths = whole_folder[:: -(-len(whole_folder) // args.photos)]
    n = len(paths)
    cores = len(os.sched_getaffinity(0))
    shared, own = session(cores), session(1)
    batch = np.stack([encoder.prepare(read_photo(path).image) for path in paths[:_BATCH]])

    place = tempfile.TemporaryDirectory()
    photos = Path(place.name) / "photos"
    photos.mkdir()
    for i, path in enumerate(paths):
        (photos / f"{i}{path.suffix}").symlink_to(path.resolve())

    def bare() -> None:
        for start in range(0, n, _BATCH):
            shared.run(None, {"pixels": batch[: min(_BATCH, n - start)]})

    def bare_by_threads() -> None:
        def one(start: int) -> None:
            own.run(None, {"pixels": batch[: min(_SMALL, n - start)]})

        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(one, range(0, n, _SMALL)))

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            index_photos(photos, f"{folder}/c.h2q")

    def decoded(side: int | None) -> None:
        def one(path: Path) -> None:
            encoder.prepare(read_photo(path, draft_side=side).image)

        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(one, paths))

    print(f"{n} photos, {cores} cores")
    for turn in range(args.repeats):
        ours, cpu_of_all = taken(whole)
        peer, of_the_network = taken(bare)
        peer_by_threads, _ = taken(bare_by_threads)
        draft, decoding = taken(lambda: decoded(encoder.draft_side))
        full, _ = taken(lambda: decoded(None))
        print(
            f"turn {turn}: index {n / ours:.0f}/s; bare network {n / peer:.0f}/s, index "
            f"{peer / ours:.2f} of it; called by a thread a core {n / peer_by_threads:.0f}/s, "
            f"index {peer_by_threads / ours:.2f} of it; decode {n / draft:.0f}/s, without draft "
            f"{n / full:.0f}/s\n"
            f"turn {turn}: CPU a photo: index {1e3 * cpu_of_all / n:.1f} ms; the bare network "
            f"{1e3 * of_the_network / n:.1f} ms, decoding and resizing {1e3 * decoding / n:.1f} ms",
            flush=True,
        )
    place.cleanup()
    if args.files:
        unchanged(args.files, args.repeats)


def unchanged(n: int, repeats: int) -> None:
    """Index again a folder of which the collection holds every file as it is."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "photos"
        for i in range(n):
            path = folder / f"{i // 1000:03d}" / f"{i:06d}.jpg"
            if i % 1000 == 0:
                path.parent.mkdir(parents=True)
            path.touch()
        uri = f"{place}/c.h2q"
        first = Path(place) / "first"
        first.mkdir()
        for i in range(2):
            noise = np.random.default_rng(i).integers(0, 256, (40, 40, 3), dtype=np.uint8)
            from PIL import Image

            Image.fromarray(noise).save(first / f"{i}.png")
        index_photos(first, uri, prefix="first")
        with open_collection(uri) as collection:
            root = folder.resolve()
            found = find_photos(root)
            payloads = [
                {"path": f.name, "folder": str(root), "size": f.size, "mtime_ns": f.version,
                 "sha256": f"{i:064x}", "width": 4000, "height": 3000,
                 "taken": "2024-06-01T10:00:00", "label": f.name.split("/")[0]}
                for i, f in enumerate(found)
            ]  # fmt: skip
            codes = np.random.default_rng(0).integers(
                0, 256, (n, code_width(collection.n_bits)), dtype=np.uint8
            )
            collection.add([f.name for f in found], codes, payloads)
            coder = kept_encoder(collection)

            def again() -> None:
                assert index_folder(folder, collection, coder).unchanged == n

            def scan() -> None:
                pending = [str(root)]
                while pending:
                    with os.scandir(pending.pop()) as listing:
                        for entry in listing:
                            if entry.is_dir():
                                pending.append(entry.path)
                            else:
                                entry.stat()

            def read(columns: str) -> Callable[[], None]:
                def one_read() -> None:
                    with sqlite3.connect(f"file:{uri}?mode=ro", uri=True) as database:
                        for _ in database.execute(f"SELECT {columns} FROM items"):  # noqa: S608
                            pass

                return one_read

            values = "id, json_extract(payload, '$.size'), json_extract(payload, '$.mtime_ns')"
            for turn in range(repeats):
                a, b, c, d = cpu(scan), cpu(read(values)), cpu(read("payload")), cpu(again)
                print(
                    f"turn {turn}: {n:,} unchanged files {d:.2f} s of CPU, {d / (a + b):.2f} x a "
                    f"stat each and a read of size and time, {d / (a + c):.2f} x with a read of "
                    "the bare payloads"
                )


if __name__ == "__main__":
    main()
