"""What the mean is worth: every rank of a rotation that centres, with it and without.

    python bench/mean.py --data text=minilm.npz --data photos=features.npz

An ``.npz`` holds real rows ``base`` and ``query``. A graduated rotation of fewer bits than columns
centres its rows. For each rank: the share in percent of the true 10 nearest by cosine among the
first 10 and the first 100, as the rank scores them in a collection (all items scored), and as the
same rank does that takes centred rows for the rows.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

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


def main() -> None:
    """Measure all data sets and lengths."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--bits", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=300)
    options = parser.parse_args()
    for each in options.data:
        name, path = each.split("=", 1)
        with np.load(path) as data:
            base = data["base"][: options.rows].astype(np.float32)
            asked = data["query"][: options.queries].astype(np.float32)
        for k in options.bits:
            measure(name, base, asked, k)


if __name__ == "__main__":
    main()
