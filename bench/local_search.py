"""Chosen codes: the price of a scan, of coding and of flips; and mAP on labelled embeddings.

    python bench/local_search.py scan --rows 500000 --data text.npz
    python bench/local_search.py flips --data text.npz
    python bench/local_search.py labels --data cifar10.npz --data caltech101.npz

`scan`: a full search (scan, proof, exact re-scoring) by the rank "reconstructed" against faiss's
`IndexBinaryFlat` over codes of as many bytes, one thread, in turns; all queries at once and one by
one. With `--data`, of its rows "base" and "query": as they are, and again and again with the
difference of two other rows added, so that what is far apart stays so. `flips`: coding time in that
of the bare product ``rows @ weights``, and the share of the variance lost, for numbers of flips.
`labels`: mAP over the whole database of labelled embeddings, chosen codes against a rotation.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from sklearn.base import clone

from _turns import ratio
from h2q import HouseholderQuantizer, LocalSearchQuantizer
from h2q.codes import unpack_signs
from h2q.collections.embedded.scans import ProvenScan
from h2q.collections.embedded.table import CodeTable
from h2q.ranks import Queries
from h2q.ranks.reconstructed import ReconstructionScorer


def clustered(n: int, d: int, seed: int) -> np.ndarray:
    """Rows of a mixture with a falling spectrum, far from zero: made, not measured."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((256, d)) * np.linspace(1.5, 0.3, d)
    rows = np.empty((n, d), dtype=np.float32)
    for start in range(0, n, 50_000):
        part = rows[start : start + 50_000]
        part[:] = centres[rng.integers(0, 256, len(part))] + 0.3
        part += rng.standard_normal(part.shape, dtype=np.float32) * np.linspace(1, 0.2, d)
    return rows


def tiled(base: np.ndarray, number: int) -> np.ndarray:
    """Rows like others: each with 0.35 of the difference of two others, drawn by a number."""
    rng = np.random.default_rng(number)
    first, second = rng.permutation(len(base)), rng.permutation(len(base))
    return base + np.float32(0.35 * (number > 0)) * (base[first] - base[second])


def scan(
    path: Path | None,
    n: int,
    n_bits: int,
    n_queries: int,
    ks: list[int],
    rounds: int,
    clock: Callable[[], float],
) -> None:
    """Time a search of all codes."""
    if path is None:
        base, queries = clustered(50_000, 384, 1), clustered(n_queries, 384, 2)
    else:
        with np.load(path) as data:
            base = data["base"][:50_000].astype(np.float32)
            queries = data["query"][:n_queries].astype(np.float32)
    quantizer = LocalSearchQuantizer(n_bits, n_flips=10, random_state=0).fit(base[:20_000])
    tiles = range(-(-n // len(base)))
    codes = np.concatenate([quantizer.transform(tiled(base, number)) for number in tiles])[:n]
    table = CodeTable(codes.shape[1]).with_added(np.arange(n, dtype=np.int64), codes, range(n))
    proven = ProvenScan(ReconstructionScorer(quantizer.decoder_))
    asked = Queries(quantizer.transform(queries), quantizer.rotate(queries), given=queries)
    ones = [asked.take(slice(i, i + 1)) for i in range(len(queries))]
    flat = faiss.IndexBinaryFlat(8 * codes.shape[1])
    flat.add(codes)
    print(f"{n} x {codes.shape[1]} bytes, {n_queries} queries, one thread")
    for k in ks:
        proven.nearest(table, asked, k)
        for what, ours, peer in (
            (
                "at once",
                lambda k=k: proven.nearest(table, asked, k),
                lambda k=k: flat.search(asked.codes, k),
            ),
            (
                "one by one",
                lambda k=k: [proven.nearest(table, one, k) for one in ones],
                lambda k=k: [flat.search(one.codes, k) for one in ones],
            ),
        ):
            ratio(f"k={k}, {what}: a search / IndexBinaryFlat", ours, peer, rounds, clock)


def flips(path: Path, n_bits: int, n: int) -> None:
    """Time coding for several numbers of flips."""
    with np.load(path) as data:
        rows = data["base"][:n].astype(np.float32)
    LocalSearchQuantizer(n_bits, n_iter=1, random_state=0).fit(rows[:2000])  # numba compiles
    fitted = LocalSearchQuantizer(n_bits, random_state=0)
    start = time.process_time()
    fitted.fit(rows)
    print(f"fit of {len(rows)} x {rows.shape[1]}: {time.process_time() - start:.1f} CPU s")
    model = fitted._fitted()
    quantizer = clone(fitted).fit(rows[:3000])
    for count in (0, 40, 80, 120, 160, 240, 320, 640):
        quantizer._model = type(model)(model.decoder, model.start, count, model.history)
        part = rows[:10_000]
        quantizer.transform(part[:500])
        times, bare = [], []
        for _ in range(3):
            start = time.process_time()
            part @ model.decoder.weights_
            middle = time.process_time()
            quantizer.transform(part)
            times.append(time.process_time() - middle)
            bare.append(middle - start)
        print(
            f"{count:>3} flips: {1e6 * min(times) / len(part):6.1f} CPU us a row, "
            f"{min(times) / min(bare):5.1f} of the bare product, "
            f"{quantizer.quantization_error(part):.4f} of the variance lost",
            flush=True,
        )


def labels(path: Path, seeds: int) -> None:
    """Compare mAP by labels."""
    with np.load(path) as data:
        split, classes = data["split"], data["labels"]
        keys = [key for key in data.files if key not in ("split", "labels")]
        arrays = {key: data[key].astype(np.float32) for key in keys}
    train, query, database = (split == name for name in ("train", "query", "database"))
    asked, held = classes[query][:505], classes[database]

    def precision(scores: np.ndarray) -> float:
        order = np.argsort(-scores, axis=1, kind="stable")
        hits = held[order] == asked[:, None]
        places = np.arange(1, hits.shape[1] + 1)
        each = (hits * (hits.cumsum(axis=1) / places)).sum(axis=1) / np.maximum(hits.sum(axis=1), 1)
        return 100 * float(each.mean())

    for key, rows in arrays.items():
        k = rows.shape[1]
        base, queries = rows[database], rows[query][:505]
        unit = base / np.linalg.norm(base, axis=1, keepdims=True)
        found: dict[str, list[float]] = {"rotation": [], "chosen": [], "chosen 0.3 hamming": []}
        found["rotation hamming"] = []
        for seed in range(seeds):
            plain = HouseholderQuantizer(random_state=seed).fit(rows[train])
            signs = unpack_signs(plain.transform(base), k)
            rotated = plain.rotate(queries)
            found["rotation"].append(precision(rotated @ signs.T))
            found["rotation hamming"].append(precision(np.sign(rotated) @ signs.T))
            chosen = LocalSearchQuantizer(k, random_state=seed).fit(rows[train])
            found["chosen"].append(
                precision(chosen.decoder_.scores(queries, chosen.transform(base)))
            )
            dial = LocalSearchQuantizer(k, gram_shrinkage=0.3, random_state=seed).fit(rows[train])
            near = (
                unpack_signs(dial.transform(queries), k) @ unpack_signs(dial.transform(base), k).T
            )
            found["chosen 0.3 hamming"].append(precision(near))
        bound = precision(queries @ unit.T)
        words = ", ".join(f"{name} {np.mean(v):.2f} ±{np.std(v):.2f}" for name, v in found.items())
        print(f"{path.stem} {key}: cosine of real rows {bound:.2f}, {words}", flush=True)


def main() -> None:
    """Measure one thing."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["scan", "flips", "labels"])
    parser.add_argument("--data", type=Path, action="append", default=[])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--bits", type=int, default=256)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("-k", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--cpu", action="store_true", help="CPU time, for a busy machine")
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    if options.what == "scan":
        data = options.data[0] if options.data else None
        clock = time.process_time if options.cpu else time.perf_counter
        numbers = (options.rows, options.bits, options.queries, options.k, options.rounds)
        scan(data, *numbers, clock)
        return
    for path in options.data:
        if options.what == "flips":
            flips(path, options.bits, options.rows)
        elif options.what == "labels":
            labels(path, options.seeds)


if __name__ == "__main__":
    main()
