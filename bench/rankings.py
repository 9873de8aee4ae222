"""What each rank of a collection finds, what it keeps for that, and what it costs.

    OMP_NUM_THREADS=1 python bench/rankings.py [FOLDER]

FOLDER holds `.npz` files of embeddings: two-dimensional real arrays under any keys and, where they
are known, `labels` (one class a row) and `split` (train, query, database). Without it the digits
that ship with scikit-learn are taken. Prints Markdown tables:

- accuracy: mean average precision where there are labels, and otherwise the share of the true 10
  nearest rows (cosine of the rows as they are in the file) among the first 10 and 100 found.
  Items are ordered by `h2q.collections.shortlists`, the code every engine uses, on codes and
  records alone; items that tie come in a random order, that of adding.
- time: a search of the embedded collection against faiss `IndexBinaryFlat` on the same codes,
  taking turns, on the file's rows repeated with some noise.

faiss's RaBitQ is there twice: with a random rotation of the same (projected) rows, and with the
quantizer's rotation. It keeps 8 bytes an item beside its bits, where "calibrated" keeps 2.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

import h2q
from h2q.codes import code_width, pack
from h2q.collections.shortlists import rerank
from h2q.quantization import HouseholderQuantizer, ITQQuantizer, RandomRotationQuantizer
from h2q.ranks import Candidates, Keep, Queries, rank_named
from h2q.ranks.records import encode_records, record_width

#: Rank, what it is given to rank by.
RANKS: tuple[tuple[str, Keep], ...] = (
    ("hamming", "codes"),
    ("asymmetric", "codes"),
    ("calibrated", "scale"),
    ("embedding", "int8"),
    ("cosine", "int8"),
)
#: After the ranks: RaBitQ's estimator on what "calibrated" keeps; the same with what centring took
#: away put back; faiss's RaBitQ.
COLUMNS = (
    *(rank for rank, _ in RANKS),
    "t / c",
    "t / c, uncentred",
    "RaBitQ, random",
    "RaBitQ, ours",
)
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """Embeddings to be coded and searched; labels where they are known."""

    name: str
    n_bits: int
    train: Rows
    query: Rows
    database: Rows
    relevant: NDArray[np.bool_] | None


def cases(folder: Path | None, bits: list[int], n_query: int, n_database: int) -> Iterator[Case]:
    """Every array of every file: labelled where it can be, else by its own neighbours."""
    rng = np.random.default_rng(0)
    if folder is None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        order = rng.permutation(len(digits.data))
        rows, labels = digits.data[order].astype(np.float32), digits.target[order]
        query, rest = slice(0, n_query), slice(n_query, None)
        relevant = labels[query, None] == labels[None, rest]
        for k in [k for k in bits if k < 64] or [32]:
            yield Case("digits", k, rows[rest], rows[query], rows[rest], relevant)
            yield Case("digits", k, rows[rest], rows[query], rows[rest], None)
        return
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        for key, array in arrays.items():
            if array.ndim != 2 or array.dtype.kind != "f":
                continue
            rows = array.astype(np.float32)
            split, labels = arrays.get("split"), arrays.get("labels")
            if split is None:
                split = np.full(len(rows), "database")
                split[rng.permutation(len(rows))[:n_query]] = "query"
            query = rng.permutation(np.flatnonzero(split == "query"))[:n_query]
            database = rng.permutation(np.flatnonzero(split == "database"))[:n_database]
            train = np.flatnonzero(split == "train") if "train" in split else database
            relevant = None
            if labels is not None and labels.ndim == 1:
                relevant = labels[query][:, None] == labels[database][None]
            # A hash layer's rows are as wide as the code; others are projected.
            name, d = f"{path.stem} {key}", rows.shape[1]
            for k in [d] if d <= 64 else [k for k in bits if k < d]:
                parts = rows[train], rows[query], rows[database]
                if relevant is not None:
                    yield Case(name, k, *parts, relevant)
                if relevant is None or d > 64:
                    yield Case(name, k, *parts, None)


def orders(case: Case) -> dict[str, NDArray[np.int64]]:
    """Order of the whole database for each query, (nq, n), by column."""
    quantizer = HouseholderQuantizer(n_bits=case.n_bits, random_state=0).fit(case.train)
    query = np.asarray(quantizer.rotate(case.query), dtype=np.float32)
    rows = np.asarray(quantizer.rotate(case.database), dtype=np.float32)
    codes, asked = pack(rows), Queries(pack(query), query)
    found = {}
    for rank, keep in RANKS:
        records = encode_records(rows, keep)
        candidates = Candidates(codes, records, keep, case.n_bits)
        spec = rank_named(rank)
        found[rank] = np.stack(
            [rerank(spec, asked, None, i, candidates, k=len(rows)).order for i in range(len(query))]
        )
    scores = query @ np.where(rows > 0, 1, -1).T / np.abs(rows).mean(axis=1) / case.n_bits
    found["t / c"] = np.argsort(-scores, axis=1, kind="stable")
    if quantizer.mean_ is not None:
        uncentred = with_the_mean(scores, case, quantizer)
        found["t / c, uncentred"] = np.argsort(-uncentred, axis=1, kind="stable")
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((case.n_bits, case.n_bits)))[0]
    turn = turn.astype(np.float32)
    found["RaBitQ, random"] = rabitq(rows @ turn, query @ turn)
    found["RaBitQ, ours"] = rabitq(rows, query)
    return found


def with_the_mean(cosines: NDArray[Any], case: Case, quantizer: Any) -> NDArray[Any]:
    """Cosines of the rows as they are in the file from those of the centred, projected ones.

    Needs three more numbers an item: two lengths and the product with the mean.
    """
    mean, axes = np.asarray(quantizer.mean_), np.asarray(quantizer.components_)
    length = np.linalg.norm(case.database, axis=1)
    shrunk = np.linalg.norm((case.database - mean) @ axes.T, axis=1)
    asked = np.linalg.norm((case.query - mean) @ axes.T, axis=1)[:, None]
    offset = (case.query @ mean)[:, None] + case.database @ mean - mean @ mean
    products: NDArray[Any] = (cosines * asked * shrunk + offset) / length
    return products


def rabitq(rows: Rows, query: Rows) -> NDArray[np.int64]:
    """Faiss's RaBitQ of one bit a dimension, the query unquantized: its best."""
    index = faiss.IndexRaBitQ(rows.shape[1], faiss.METRIC_L2)
    index.qb = 0
    index.train(rows)
    index.add(rows)
    return np.asarray(index.search(query, len(rows))[1])


def average_precision(order: NDArray[np.int64], relevant: NDArray[np.bool_]) -> NDArray[Any]:
    """AP of each query over its whole order, in percent."""
    hits = np.take_along_axis(relevant, order, axis=1)
    precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return 100 * (precision * hits).sum(axis=1) / np.maximum(hits.sum(axis=1), 1)


def shares(order: NDArray[np.int64], case: Case, top: int) -> NDArray[Any]:
    """Share of the true 10 nearest among the first `top`, in percent."""
    unit = [
        rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (case.query, case.database)
    ]
    true = np.argsort(-(unit[0] @ unit[1].T), axis=1, kind="stable")[:, :10]
    return np.array(
        [10.0 * len(np.intersect1d(a[:top], b)) for a, b in zip(order, true, strict=True)]
    )


def accuracy(all_cases: list[Case]) -> None:
    """Print the tables of accuracy, and the paired gain of the calibrated rank."""
    lines = []
    for case in all_cases:
        found = orders(case)
        columns = [c for c in COLUMNS if c in found]
        if case.relevant is not None:
            measured = {"mAP": {c: average_precision(found[c], case.relevant) for c in columns}}
        else:
            measured = {
                f"10@{top}": {c: shares(found[c], case, top) for c in columns} for top in (10, 100)
            }
        for what, values in measured.items():
            gain = values["calibrated"] - values["asymmetric"]
            error = gain.std(ddof=1) / np.sqrt(len(gain))
            lines.append(
                f"| {case.name} | {case.n_bits} | {what} | "
                + " | ".join(f"{values[c].mean():.1f}" if c in values else "" for c in COLUMNS)
                + f" | {gain.mean():+.2f} ± {error:.2f} |"
            )
            print(lines[-1], flush=True)
    head = ("embeddings", "bits", "measure", *COLUMNS, "calibrated − asymmetric")
    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}\n" + "\n".join(lines))


def sweep(all_cases: list[Case]) -> None:
    """Print what other angles would do, and other rotations: the mean gain over "asymmetric"."""
    cosines = (0.3, 0.4, 0.5, 0.6, 0.7)
    print(f"\n| rotation | measure | {' | '.join(map(str, cosines))} | t / c |\n|{'---|' * 8}")
    for kind in (HouseholderQuantizer, ITQQuantizer, RandomRotationQuantizer):
        gains: dict[str, list[list[float]]] = {}
        for case in all_cases:
            quantizer = kind(n_bits=case.n_bits, random_state=0).fit(case.train)
            query, rows = (np.asarray(quantizer.rotate(x)) for x in (case.query, case.database))
            t = query @ np.where(rows > 0, 1, -1).T / case.n_bits
            c = np.abs(rows).mean(axis=1)
            sides = np.sqrt(np.clip(1 - t * t, 0, None)) * np.sqrt(np.clip(1 - c * c, 0, None))
            forms = [t, *(t * c + cosine * sides for cosine in cosines), t / c]
            ranked = [np.argsort(-scores, axis=1, kind="stable") for scores in forms]
            if case.relevant is not None:
                found = {"mAP": [average_precision(o, case.relevant).mean() for o in ranked]}
            else:
                found = {f"10@{m}": [shares(o, case, m).mean() for o in ranked] for m in (10, 100)}
            for what, values in found.items():
                gains.setdefault(what, []).append([v - values[0] for v in values[1:]])
        for what, values in gains.items():
            means = " | ".join(f"{v:+.2f}" for v in np.mean(values, axis=0))
            print(f"| {kind.__name__} | {what} ({len(values)} cases) | {means} |", flush=True)


def bytes_an_item(n_bits: int) -> None:
    """Print what is kept of an item for each rank."""
    width = code_width(n_bits)
    kept = {rank: width + record_width(keep, n_bits) for rank, keep in RANKS}
    index = faiss.IndexRaBitQ(n_bits, faiss.METRIC_L2)
    print(f"\nbytes an item at {n_bits} bits: {kept}, RaBitQ: {index.code_size}")


def times(case: Case, n: int, k: int, rounds: int) -> None:
    """Print the time of each rank over that of `IndexBinaryFlat` on the same codes."""
    rng = np.random.default_rng(0)
    quantizer = HouseholderQuantizer(n_bits=case.n_bits, random_state=0).fit(case.train)
    rows = np.asarray(quantizer.rotate(case.database), dtype=np.float32)
    rows = rows[rng.integers(0, len(rows), n)]
    rows += 0.1 * rng.standard_normal(rows.shape, dtype=np.float32)
    query = np.asarray(quantizer.rotate(case.query), dtype=np.float32)[:200]
    codes = pack(rows)
    flat = faiss.IndexBinaryFlat(8 * codes.shape[1])
    flat.add(codes)
    fast = faiss.IndexRaBitQFastScan(case.n_bits, faiss.METRIC_L2)
    fast.train(rows)
    fast.add(rows)
    print(f"\ntime / IndexBinaryFlat, {n:,} items of {case.name}, {case.n_bits} bits, k = {k}:")
    with tempfile.TemporaryDirectory() as folder:
        collections = {
            keep: h2q.open_collection(f"{folder}/{keep}.h2q", n_bits=case.n_bits, keep=keep)
            for keep in {keep for _, keep in RANKS}
        }
        for collection in collections.values():
            for start in range(0, n, 50_000):
                part = slice(start, start + 50_000)
                collection.add(range(n)[part], codes[part], embeddings=rows[part])

        def search(rank: str, keep: Keep, rows: Rows) -> Callable[[], object]:
            return lambda: collections[keep].search(rows, k, rank=rank)

        for name, asked in (("batch of 200", query), ("one query", query[:1])):
            coded = pack(asked)

            def peer(coded: NDArray[np.uint8] = coded) -> object:
                return flat.search(coded, k)

            for rank, keep in RANKS:
                ratio(f"{rank}, {name}", search(rank, keep, asked), peer, rounds)
            ratio(f"RaBitQ FastScan, {name}", lambda a=asked: fast.search(a, k), peer, rounds)
        for collection in collections.values():
            collection.close()


def ratio(name: str, ours: Callable[[], object], peer: Callable[[], object], rounds: int) -> None:
    """Print the time of `ours` over that of `peer`, measured in turns."""
    ours(), peer()
    ratios = sorted(_seconds(ours) / _seconds(peer) for _ in range(rounds))
    print(
        f"| {name} | {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |",
        flush=True,
    )


def _seconds(call: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--database", type=int, default=5000, help="rows at most")
    parser.add_argument("--n", type=int, default=200_000, help="items of the timing; 0: no timing")
    parser.add_argument("--sweep", action="store_true", help="try other angles and rotations")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    found = list(cases(options.folder, options.bits, options.queries, options.database))
    accuracy(found)
    if options.sweep:
        sweep(found)
    widest = max(found, key=lambda case: (case.n_bits == 64, case.n_bits))
    bytes_an_item(widest.n_bits)
    if options.n:
        times(widest, options.n, options.k, options.rounds)


if __name__ == "__main__":
    main()
