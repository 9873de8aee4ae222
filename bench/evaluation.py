"""Memory and time of the evaluation, beside a plain argsort loop on the same pairs in the same run.

    python bench/evaluation.py                          # 5,000 queries x 200,000 items x 64 bits
    python bench/evaluation.py --queries 200 --items 20000

Prints one JSON object. `peak_mib` is the peak resident memory of the process that evaluates, all
inputs and imports included; the goal is below 1,024 at the default size.
`cpu_seconds_per_megapair` is per ranking. `argsort_ratio` is the peer's CPU time over ours (above
1: ours is faster), the peer being a loop of `numpy.argsort` over Hamming distances, as common in
published code.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

import numpy as np

from _memory import peak_bytes
from h2q.codes import hamming_distances, pack
from h2q.evaluation import RANKINGS, evaluate


def make(n_queries: int, n_items: int, n_bits: int, n_classes: int, seed: int = 0):
    """Clustered float32 embeddings and their classes."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((n_classes, n_bits), dtype=np.float32)
    labels = rng.integers(0, n_classes, n_queries + n_items)
    z = rng.standard_normal((len(labels), n_bits), dtype=np.float32)
    z += centres[labels]
    return z[:n_queries], z[n_queries:], labels[:n_queries], labels[n_queries:]


def argsort_loop(query, database, query_labels, database_labels, k: int) -> float:
    """MAP@k with ties in whatever order argsort leaves them: the peer."""
    codes, total = pack(database), 0.0
    for code, label in zip(pack(query), query_labels, strict=True):
        order = np.argsort(hamming_distances(code, codes)[0])[:k]
        hits = database_labels[order] == label
        ranks = np.flatnonzero(hits) + 1
        total += (np.arange(1, len(ranks) + 1) / ranks).mean() if len(ranks) else 0.0
    return total / len(query)


def measure(args: argparse.Namespace, rankings: list[str]) -> dict[str, object]:
    """Evaluate in this process."""
    data = make(args.queries, args.items, args.bits, args.classes)
    ready = peak_bytes() / 2**20
    start, cpu = time.perf_counter(), time.process_time()
    result = evaluate(*data, k=args.k, ranks=rankings)
    return {
        "rankings": rankings,
        "seconds": round(time.perf_counter() - start, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "inputs_mib": round(ready),
        "peak_mib": round(peak_bytes() / 2**20),
        "mAP": {name: round(result[name][f"mAP@{args.k}"], 4) for name in rankings},
    }


def main() -> None:
    """Run each ranking, and all together, in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=5_000)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--k", type=int, default=5_000)
    parser.add_argument("--only", nargs="+", choices=RANKINGS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        print(json.dumps(measure(args, args.only)))
        return
    runs = []
    for rankings in [[name] for name in RANKINGS] + [list(RANKINGS)]:
        command = [sys.executable, __file__, *sys.argv[1:], "--only", *rankings]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        run = json.loads(done.stdout)
        pairs = args.queries * args.items * len(rankings)
        run["cpu_seconds_per_megapair"] = round(run["cpu_seconds"] / pairs * 1e6, 4)
        runs.append(run)
        print(f"{' '.join(rankings)}: {run['seconds']} s, {run['peak_mib']} MiB", file=sys.stderr)
    few = max(1, min(args.queries, 20_000_000 // args.items))
    q, d, ql, dl = make(args.queries, args.items, args.bits, args.classes)
    start = time.process_time()
    loop = argsort_loop(q[:few], d, ql[:few], dl, args.k)
    middle = time.process_time()
    ours = evaluate(q[:few], d, ql[:few], dl, k=args.k, ranks=["hamming"], radii=())
    end = time.process_time()
    peer = {
        "queries": few,
        "argsort_ratio": round((middle - start) / (end - middle), 2),
        "mAP_argsort": round(loop, 4),
        "mAP_expected": round(ours["hamming"][f"mAP@{args.k}"], 4),
    }
    sizes = {name: getattr(args, name) for name in ("queries", "items", "bits", "classes", "k")}
    print(json.dumps({"sizes": sizes, "runs": runs, "peer": peer}, indent=2))


if __name__ == "__main__":
    main()
