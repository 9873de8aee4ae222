"""How well duplicates of photos are found: a folder of photos, copies added, everything counted.

    python bench/duplicates_photos.py PHOTOS --seeds 3

PHOTOS is any folder of photos. For each seed they are copied, 300 of them are added re-encoded,
resized, cropped and turned by EXIF, and 180 more in other ways (`photo_copies`); the folder is
indexed, and `find_duplicates` says what it finds.

- **recall** of a kind: the share of its copies that are in a group, of a level or a better one,
  with their original.
- **precision** of a level: the share of the pairs of a group's first photo and another that are of
  one original. Photos of the folder that are copies of each other already count as wrong unless
  `--known FILE` names them: a line a pair, `id <tab> id`.

`--hashes` adds how far the copies are from their originals by several perceptual hashes.
"""

from __future__ import annotations

import argparse
import collections
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from h2q.duplicates import Duplicates, find_duplicates
from h2q.images import read_image, scan_folder
from photo_copies import KINDS, write_copies

LEVELS = ("same", "close", "related")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--model", help="a trained model or run folder, instead of the default")
    parser.add_argument("--known", type=Path, help="pairs that are duplicates already")
    parser.add_argument("--out", type=Path, help="JSON of all figures")
    parser.add_argument("--hashes", action="store_true", help="compare perceptual hashes, too")
    args = parser.parse_args()
    known = _known(args.known)
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(args.seeds):
            run = _run(args.photos, Path(folder) / str(seed), seed, args.model, known)
            runs.append(run)
            print(json.dumps(run), flush=True)
    _print(runs)
    if args.hashes:
        _print_hashes(args.photos)
    if args.out:
        args.out.write_text(json.dumps(runs, indent=1) + "\n")


def _run(
    photos: Path, folder: Path, seed: int, model: str | None, known: set[frozenset[str]]
) -> dict[str, Any]:
    folder.mkdir()
    truth = write_copies(photos, folder / "photos", seed)
    uri = str(folder / "photos.h2q")
    indexed = _index(folder / "photos", uri, model)
    begun = time.monotonic()
    found = find_duplicates(uri)
    searched = time.monotonic() - begun
    return {
        "seed": seed,
        "photos": found.n_items,
        "recall": _recall(found, truth),
        "precision": _precision(found, truth, known),
        "wrong": _wrong(found, truth, known),
        "time_of_indexing": searched / indexed,
        "limits": {k: v for k, v in found.limits.to_dict().items() if k != "calibrated"},
    }


def _index(photos: Path, uri: str, model: str | None) -> float:
    """Index as the command line does."""
    command = [sys.executable, "-m", "h2q", "--quiet", "index", str(photos), "-c", uri]
    begun = time.monotonic()
    subprocess.run([*command, *(["--model", model] if model else [])], check=True)
    return time.monotonic() - begun


def _groups(found: Duplicates, level: str) -> list[list[str]]:
    return [[str(m.id) for m in group.members] for group in found.groups if group.level == level]


def _recall(found: Duplicates, truth: dict[str, tuple[str, str]]) -> dict[str, dict[str, float]]:
    """Kind -> level -> share of its copies found at that level or a better one."""
    found_at: dict[str, int] = {}
    for place, level in enumerate(LEVELS):
        for members in _groups(found, level):
            held = set(members)
            for copy in held & truth.keys():
                if truth[copy][1] in held:
                    found_at.setdefault(copy, place)
    table: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        places = [found_at.get(copy, 99) for copy, (k, _) in truth.items() if k == kind]
        table[kind] = {
            level: sum(p <= place for p in places) / len(places)
            for place, level in enumerate(LEVELS)
        }
    return table


def _pairs(found: Duplicates, level: str) -> list[tuple[str, str]]:
    return [(group[0], other) for group in _groups(found, level) for other in group[1:]]


def _is_right(
    pair: tuple[str, str], truth: dict[str, tuple[str, str]], known: set[frozenset[str]]
) -> bool:
    a, b = (truth[name][1] if name in truth else name for name in pair)
    return a == b or frozenset((a, b)) in known


def _precision(
    found: Duplicates, truth: dict[str, tuple[str, str]], known: set[frozenset[str]]
) -> dict[str, dict[str, float]]:
    table = {}
    for level in LEVELS:
        pairs = _pairs(found, level)
        right = sum(_is_right(pair, truth, known) for pair in pairs)
        table[level] = {"pairs": len(pairs), "precision": right / len(pairs) if pairs else 1.0}
    return table


def _wrong(
    found: Duplicates, truth: dict[str, tuple[str, str]], known: set[frozenset[str]]
) -> dict[str, list[tuple[str, str]]]:
    """Pairs to look at: what is not known to be of one original."""
    return {
        level: [pair for pair in _pairs(found, level) if not _is_right(pair, truth, known)]
        for level in ("same", "close")
    }


def _known(path: Path | None) -> set[frozenset[str]]:
    if path is None:
        return set()
    lines = path.read_text(encoding="utf-8").splitlines()
    return {frozenset(line.split("\t")) for line in lines if line and not line.startswith("#")}


def _print(runs: list[dict[str, Any]]) -> None:
    print(f"\n{'recall':<16}" + "".join(f"{level:>24}" for level in LEVELS))
    for kind in KINDS:
        cells = [_spread([run["recall"][kind][level] for run in runs]) for level in LEVELS]
        print(f"{kind:<16}" + "".join(f"{cell:>24}" for cell in cells))
    cells = [_spread([run["precision"][level]["precision"] for run in runs]) for level in LEVELS]
    print(f"{'precision':<16}" + "".join(f"{cell:>24}" for cell in cells))
    counts = collections.Counter()
    for run in runs:
        counts.update({level: run["precision"][level]["pairs"] for level in LEVELS})
    print(f"{'pairs, all seeds':<16}" + "".join(f"{counts[level]:>24}" for level in LEVELS))
    print("time of the search / of the indexing:", _spread([r["time_of_indexing"] for r in runs]))


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def _print_hashes(photos: Path) -> None:
    """Distance of copies under each hash, and of the nearest other photos."""
    import imagehash

    def bits(value: Any) -> np.ndarray:
        return np.packbits(value.hash)

    hashes = {
        "pHash 256": lambda image: bits(imagehash.phash(image, hash_size=16)),
        "pHash 64": lambda image: bits(imagehash.phash(image)),
        "dHash 256": lambda image: bits(imagehash.dhash(image, hash_size=16)),
    }
    try:
        import pdqhash  # needs a compiler: not among the dependencies

        hashes["PDQ 256"] = lambda image: np.packbits(pdqhash.compute(np.asarray(image))[0])
    except ImportError:
        print("PDQ is left out: pip install pdqhash (it is compiled)")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "photos"
        truth = write_copies(photos, target, 0)
        images = {str(p.relative_to(target)): p for p in scan_folder(target)}
        for name, function in hashes.items():
            of = {item: function(read_image(path)) for item, path in images.items()}
            print(f"\n{name}: distance of copies, median, 95 and 100 of 100")
            for kind in KINDS:
                far = [
                    int(np.bitwise_count(of[copy] ^ of[original]).sum())
                    for copy, (k, original) in truth.items()
                    if k == kind
                ]
                print(f"  {kind:<16}", np.percentile(far, [50, 95, 100]).astype(int).tolist())
            table = np.stack([code for item, code in of.items() if item not in truth])
            near = collections.Counter()
            for row in range(len(table) - 1):
                far_all = np.bitwise_count(table[row] ^ table[row + 1 :]).sum(axis=1)
                for radius in (8, 16, 24, 32, 40):
                    near[radius] += int((far_all <= radius).sum())
            print("  pairs of photos within", dict(near))


if __name__ == "__main__":
    main()
