"""What the mean is worth: every rank of a rotation that centres, with it and without.

    python bench/mean.py --data text=minilm.npz --data photos=features.npz
    python bench/mean.py --own --data digits --data text=minilm.npz --rows 10000 --bits 32 64 128

An ``.npz`` holds real rows ``base`` and ``query``. A graduated rotation of fewer bits than columns
centres its rows. For each rank: the share in percent of the true 10 nearest by cosine among the
first 10 and the first 100, as the rank scores them in a collection (all items scored), and as the
same rank does that takes centred rows for the rows.

`--own`: 600 items' own rows are asked for; the share that come first and that are among the first
10, by the default rank and by Hamming distance, of a rotation and of chosen codes. ``digits`` are
scikit-learn's.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import h2q
from h2q.codes import unpack_signs
from h2q.ranks import Candidates, Queries, rank_named
from h2q.ranks.calibrated import calibrated_scores
from h2q.ranks.records import encode_records, records_of, scales

NEAR, FAR = 10, 100


def judged(scores: NDArray[np.float32], true: NDArray[np.int64]) -> str:
    """Share of the true neighbours in the first 10 and in the first 100."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :FAR]
    shares = [
        100
        * np.mean(
            [len(np.intersect1d(a[:first], b)) / NEAR for a, b in zip(order, true, strict=True)]
        )
        for first in (NEAR, FAR)
    ]
    return f"{shares[0]:.1f} / {shares[1]:.1f}"


def measure(name: str, base: NDArray[np.float32], asked: NDArray[np.float32], k: int) -> None:
    """Print all ranks of one length."""
    lengths = np.linalg.norm(base, axis=1)
    true = np.argpartition(-(asked @ base.T) / lengths, NEAR, axis=1)[:, :NEAR]
    quantizer = h2q.HouseholderQuantizer(k, random_state=0).fit(base)
    rotated, queries = quantizer.rotate(base), quantizer.rotate(asked)
    codes = quantizer.transform(base)
    decoder = h2q.CodeDecoder(random_state=0).fit(rotated)
    signs = unpack_signs(codes, k)
    scale = scales(encode_records(rotated, "scale"), "scale", k)
    unit = rotated / np.linalg.norm(rotated, axis=1, keepdims=True)
    centred = {
        "asymmetric": queries @ signs.T,
        "decoded": decoder.scores(queries, codes),
        "calibrated": np.stack([calibrated_scores(row, codes, scale) for row in queries]),
        "cosine": queries @ unit.T,
    }
    ready = Queries(quantizer.transform(asked), queries, decoder, quantizer, asked)
    for rank, without in centred.items():
        spec = rank_named(rank)
        keep = spec.keeps[0] if spec.keeps else "codes"
        records = records_of(base, rotated, codes, keep, quantizer)
        state, found = spec.prepared(ready), Candidates(codes, records, keep, k)
        score = spec.score
        assert score is not None
        scores = np.stack([score(ready, state, number, found) for number in range(len(asked))])
        print(f"{name} {k} bits, {rank}: {judged(without, true)} -> {judged(scores, true)}")


def find_own(name: str, base: NDArray[np.float32], k: int, seed: int) -> None:
    """Print how often an item is found by its own row."""
    own = np.arange(0, len(base), max(1, len(base) // 600))
    for kind in (h2q.HouseholderQuantizer, h2q.LocalSearchQuantizer):
        quantizer = kind(k, random_state=seed).fit(base)
        with (
            tempfile.TemporaryDirectory() as folder,
            h2q.open_collection(Path(folder) / "own.h2q", quantizer=quantizer) as items,
        ):
            items.add(range(len(base)), quantizer.transform(base))
            shares = []
            for rank in (None, "hamming"):
                ids = np.array(items.search(base[own], NEAR, rank=rank).ids) == own[:, None]
                shares.append(f"{100 * ids[:, 0].mean():.1f} / {100 * ids.any(axis=1).mean():.1f}")
        print(
            f"{name} {len(base)} rows, {kind.__name__} {k} bits, seed {seed}: {', '.join(shares)}"
        )


def main() -> None:
    """Measure all data sets and lengths."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--bits", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--own", action="store_true")
    parser.add_argument("--seeds", type=int, default=1, help="of --own")
    options = parser.parse_args()
    for each in options.data:
        name, _, path = each.partition("=")
        if path:
            with np.load(path) as data:
                base = data["base"][: options.rows].astype(np.float32)
                asked = data["query"][: options.queries].astype(np.float32)
        else:
            base = load_digits().data.astype(np.float32)[: options.rows]
            asked = base[: options.queries]
        for k in options.bits:
            if options.own:
                for seed in range(options.seeds):
                    find_own(name, base, k, seed)
            else:
                measure(name, base, asked, k)


if __name__ == "__main__":
    main()
