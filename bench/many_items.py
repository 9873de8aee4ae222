"""A large collection made from a small one of photos: its items again and again, with noise.

Each new item is one of the old with every bit flipped at a small rate; its payload still names the
old one's photo, so that the page shows it. Where a payload has no date, it gets one drawn at random
(the page filters by it), which says nothing about the photo.

    python bench/many_items.py photos.h2q many.h2q --n 100000
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import h2q
from h2q.codes import pack, unpack

_BATCH = 20_000


def make(source: Path, target: Path, n: int, noise: float) -> None:
    """Write the collection."""
    rng = np.random.default_rng(0)
    with h2q.open_collection(source) as old:
        batches = list(old.iterate(_BATCH))
        n_bits, kept = old.n_bits, {"quantizer": old.quantizer}
        if "model" in old.fingerprints:
            kept["model"] = old.artifact_bytes("model")
    ids = [item_id for batch in batches for item_id in batch.ids]
    payloads = [dict(payload or {}) for batch in batches for payload in batch.payloads]
    codes = np.concatenate([batch.codes for batch in batches])
    with h2q.open_collection(target, n_bits=n_bits, **kept) as new:
        for start in range(0, n, _BATCH):
            numbers = np.arange(start, min(n, start + _BATCH))
            places, rounds = numbers % len(ids), numbers // len(ids)
            flips = rng.random((len(numbers), n_bits)) < noise
            flips[rounds == 0] = False
            noisy = unpack(codes[places], n_bits).astype(bool) ^ flips
            days = rng.integers(0, 365 * 15, len(numbers))
            names, facts = [], []
            for place, again, day in zip(places, rounds, days, strict=True):
                name = Path(str(ids[place]))
                names.append(
                    name.with_stem(f"{name.stem}~{again}").as_posix() if again else ids[place]
                )
                taken = str(np.datetime64("2010-01-01T12:00:00") + np.timedelta64(int(day), "D"))
                facts.append({"taken": taken, **payloads[place]})
            new.add(names, pack(np.where(noisy, 1.0, -1.0)), facts)
            print(f"{len(new):,} of {n:,}", flush=True)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--noise", type=float, default=0.06, help="Rate at which a bit is flipped.")
    args = parser.parse_args()
    if args.target.exists():
        parser.error(f"{args.target} exists; remove it first")
    make(args.source, args.target, args.n, args.noise)


if __name__ == "__main__":
    main()
