"""The index "ivf_asymmetric" over many chosen codes: what it finds, and its time against the scan.

    OMP_NUM_THREADS=1 python bench/cells.py --data text.npz --rows 10000000 --codes codes.npy

Rows are those of "base", tiled (`local_search.tiled`); queries those of "query". Prints the share
of the true 10 nearest by cosine (of the rows) that the exact scan finds and that the index finds,
the share of the scan's own answers the index finds, and times over the scan of the same codes by
the same score, measured in turns. `--codes` keeps the codes for the next time; `--rotation` takes a
rotation's codes and the rank "asymmetric".
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import faiss
import numpy as np

from _turns import ratio
from h2q import HouseholderQuantizer, LocalSearchQuantizer
from h2q.collections.embedded.cells import CellIndex
from h2q.collections.embedded.scans import ProvenScan
from h2q.collections.embedded.table import CodeTable
from h2q.collections.index_spec import IndexSpec
from h2q.ranks import Queries, shortlist_rank
from local_search import tiled


def nearest(base: np.ndarray, queries: np.ndarray, n: int, k: int) -> np.ndarray:
    """Return the true k nearest by cosine among the rows, (nq, k)."""
    asked = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    ids = np.empty((len(queries), 0), dtype=np.int64)
    best = np.empty((len(queries), 0), dtype=np.float32)
    for number, start in enumerate(range(0, n, len(base))):
        rows = tiled(base, number)[: n - start]
        scores = asked @ rows.T / np.linalg.norm(rows, axis=1)
        near = np.argpartition(-scores, k, axis=1)[:, :k]
        ids = np.concatenate([ids, near + start], axis=1)
        best = np.concatenate([best, np.take_along_axis(scores, near, axis=1)], axis=1)
        kept = np.argsort(-best, axis=1)[:, :k]
        ids, best = (np.take_along_axis(each, kept, axis=1) for each in (ids, best))
    return ids


def share(found: list[np.ndarray], wanted: list[np.ndarray] | np.ndarray) -> float:
    """Mean share of what is wanted that was found."""
    return float(np.mean([np.isin(w, f).mean() for f, w in zip(found, wanted, strict=True)]))


def main() -> None:
    """Make codes and index, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, default=256)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--codes", type=Path)
    parser.add_argument("--rotation", action="store_true")
    parser.add_argument("--nlist", type=int)
    parser.add_argument("--nprobe", type=int, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    with np.load(options.data) as data:
        base, queries = (data[name].astype(np.float32) for name in ("base", "query"))
    n, k, queries = options.rows, options.k, queries[: options.queries]
    kind = HouseholderQuantizer if options.rotation else LocalSearchQuantizer
    quantizer = kind(options.bits, random_state=0).fit(base)
    if options.codes is not None and options.codes.exists():
        codes = np.array(np.load(options.codes, mmap_mode="r")[:n])
    else:
        parts = range(-(-n // len(base)))
        codes = np.concatenate([quantizer.transform(tiled(base, part)) for part in parts])[:n]
        if options.codes is not None:
            np.save(options.codes, codes)
    true = nearest(base, queries, n, k)
    table = CodeTable(codes.shape[1]).with_added(np.arange(n, dtype=np.int64), codes, range(n))
    asked = Queries(
        quantizer.transform(queries), quantizer.rotate(queries), None, quantizer, queries
    )
    ones = [asked.take(slice(i, i + 1)) for i in range(len(queries))]
    rank = shortlist_rank(quantizer)
    scan = ProvenScan(rank.scorer(quantizer))
    exact = [hit.positions for hit in scan.nearest(table, asked, k)]
    print(
        f"{n:,} codes of {options.bits} bits, {rank.name}, {len(queries)} queries: the scan finds "
        f"{share(exact, true):.4f} of the true {k}",
        flush=True,
    )
    built = {} if options.nlist is None else {"nlist": options.nlist}
    index = CellIndex(IndexSpec("ivf_asymmetric", built), True, lambda: rank.scorer(quantizer))
    start = time.process_time()
    index.follow(table)
    print(f"made in {1e6 * (time.process_time() - start) / n:.1f} CPU us an item", flush=True)
    for nprobe in [None, *options.nprobe]:
        searched = {} if nprobe is None else {"nprobe": nprobe}
        index.spec = IndexSpec("ivf_asymmetric", {**built, **searched})
        found = [hit.positions for hit in index.nearest(table, asked, k) or []]
        print(
            f"nprobe {nprobe or 'by default'}: {share(found, true):.4f} of the true {k}, "
            f"{share(found, true) / share(exact, true):.4f} of the scan's share; "
            f"{share(found, exact):.4f} of what the scan found",
            flush=True,
        )
        ratio(
            "  one by one: time / scan",
            lambda: [index.nearest(table, one, k) for one in ones],
            lambda: [scan.nearest(table, one, k) for one in ones],
            options.rounds,
        )
        ratio(
            "  at once: time / scan",
            lambda: index.nearest(table, asked, k),
            lambda: scan.nearest(table, asked, k),
            options.rounds,
        )


if __name__ == "__main__":
    main()
