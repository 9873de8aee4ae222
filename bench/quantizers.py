"""Compare quantizers on learned embeddings: retrieval of rows not fitted on, error, CPU time.

    python bench/quantizers.py --data FOLDER --out FOLDER [--seeds 5] [--sgd-seeds 3]

FOLDER holds ``embeddings_NAME.npz`` files: float arrays LOSS_BITS (n, k), `labels` (n,), `split`
(n,) of train, query and database. Every quantizer is fitted on the training rows; the rankings
are those of `h2q.evaluation` over the whole database, mAP@all in percent, expected over ties. The
paper's SGD is some ten to twenty times slower than the rest: `--sgd-seeds` limits its
seeds (it is compared on those seeds only), `--queries` the queries of each case, `--cases` the
cases. `--resume` keeps the rows already in the output folder: use it to continue an interrupted
run or to print the tables again, never after changing a solver.

Written to the output folder: ``values.csv`` (a row a value) and ``summary.csv`` (the table).
CPU time is process time; set OMP_NUM_THREADS=1, as BLAS threads that wait count too.
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress
from scipy import stats

from h2q import HouseholderQuantizer, ITQQuantizer, RandomRotationQuantizer, SignQuantizer
from h2q.evaluation import evaluate

RANKINGS = ("hamming", "asymmetric", "embedding")
METRICS = (*RANKINGS, "error_train", "error_database", "cpu_seconds")
QUANTIZERS: dict[str, Callable[[int], SignQuantizer]] = {
    "none": lambda seed: SignQuantizer(),
    "random": lambda seed: RandomRotationQuantizer(random_state=seed),
    "itq": lambda seed: ITQQuantizer(random_state=seed),
    "sgd": lambda seed: HouseholderQuantizer(solver="sgd", random_state=seed),
    "graduated": lambda seed: HouseholderQuantizer(random_state=seed),
}
#: The paper's other objectives, each with a learning rate at which it converges.
OBJECTIVES = {"l1": 0.1, "min_entry": 0.1, "bit_variance": 10.0}
QUANTIZERS.update(
    {
        f"sgd-{objective}": lambda seed, objective=objective, rate=rate: HouseholderQuantizer(  # type: ignore[misc]
            solver="sgd",
            objective=objective,
            solver_options={"learning_rate": rate},
            random_state=seed,
        )
        for objective, rate in OBJECTIVES.items()
    }
)
COLUMNS = ("case", "quantizer", "seed", "queries", "metric", "value")
Key = tuple[str, str, int, str]


@dataclass(frozen=True)
class Case:
    """One array of embeddings, split."""

    name: str
    rows: dict[str, NDArray[np.float32]]
    labels: dict[str, NDArray[np.integer]]


def load_cases(folder: Path, pattern: str, n_queries: int | None) -> list[Case]:
    """Read the cases whose name, ``cifar10/cel_16``, matches a shell pattern."""
    cases = []
    for path in sorted(folder.glob("embeddings_*.npz")):
        with np.load(path, allow_pickle=False) as file:
            if not {"labels", "split"} <= set(file.files):
                continue  # unlabelled rows
            labels, split = file["labels"], file["split"]
            for key in sorted(set(file.files) - {"labels", "split"}):
                name = f"{path.stem.removeprefix('embeddings_')}/{key}"
                if not fnmatch.fnmatch(name, pattern):
                    continue
                parts = {p: np.flatnonzero(split == p) for p in ("train", "query", "database")}
                # Evenly spaced, because the files may be sorted by class.
                n = len(parts["query"])
                spaced = np.linspace(0, n - 1, min(n, n_queries or n)).round().astype(int)
                parts["query"] = parts["query"][spaced]
                rows = file[key].astype(np.float32)
                cases.append(
                    Case(
                        name,
                        {part: rows[at] for part, at in parts.items()},
                        {part: labels[at] for part, at in parts.items()},
                    )
                )
    if not cases:
        sys.exit(f"no case matches {pattern!r} in {folder}/embeddings_*.npz")
    return cases


def measure(case: Case, name: str, seed: int) -> dict[str, float]:
    """Fit one quantizer and give the value of every metric."""
    quantizer = QUANTIZERS[name](seed)
    begin = time.process_time()
    quantizer.fit(case.rows["train"])
    seconds = time.process_time() - begin
    found = evaluate(
        quantizer.rotate(case.rows["query"]),
        quantizer.rotate(case.rows["database"]),
        case.labels["query"],
        case.labels["database"],
        ranks=RANKINGS,
        radii=(),
    )
    values = {ranking: 100 * found[ranking]["mAP"] for ranking in RANKINGS}
    for part in ("train", "database"):
        values[f"error_{part}"] = float(quantizer.quantization_error(case.rows[part]))
    return {**values, "cpu_seconds": seconds}


def cosine_bound(case: Case) -> float:
    """MAP of the real embeddings, which no rotation changes."""
    found = evaluate(
        case.rows["query"],
        case.rows["database"],
        case.labels["query"],
        case.labels["database"],
        ranks=("cosine",),
        radii=(),
    )
    return 100 * found["cosine"]["mAP"]


def jobs(seeds: dict[str, int]) -> Iterator[tuple[str, int]]:
    """Quantizers and seeds of a case; those to be timed against each other run in turn."""
    for seed in range(max(seeds.values())):
        yield from ((name, seed) for name, n in seeds.items() if seed < n)


class Store:
    """Values in ``values.csv``, appended as they are measured."""

    def __init__(self, path: Path, *, resume: bool, n_queries: int | None) -> None:
        self.path, self.queries = path, str(n_queries or "all")
        self.values: dict[Key, float] = {}
        if resume and path.exists():
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    if row["queries"] != self.queries:
                        sys.exit(f"{path} holds another --queries: {row['queries']}; remove it")
                    key = (row["case"], row["quantizer"], int(row["seed"]), row["metric"])
                    self.values[key] = float(row["value"])
        else:
            path.write_text(",".join(COLUMNS) + "\n")

    def has(self, case: str, name: str, seed: int) -> bool:
        """Whether this job is done."""
        return any(key[:3] == (case, name, seed) for key in self.values)

    def add(self, case: str, name: str, seed: int, values: dict[str, float]) -> None:
        """Keep the values of a job."""
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            for metric, value in values.items():
                self.values[case, name, seed, metric] = value
                writer.writerow((case, name, seed, self.queries, metric, f"{value:.6f}"))

    def table(self, cases: list[str], name: str, n_seeds: int, metric: str) -> NDArray[np.float64]:
        """Return values of shape (cases, seeds)."""
        return np.array(
            [[self.values[case, name, s, metric] for s in range(n_seeds)] for case in cases]
        )


def interval(samples: NDArray[np.float64]) -> float:
    """Half width of the 95 % t interval of the mean."""
    if len(samples) < 2:
        return float("nan")
    width = stats.t.ppf(0.975, len(samples) - 1) * samples.std(ddof=1) / np.sqrt(len(samples))
    return float(width)


def summarise(store: Store, cases: list[str], seeds: dict[str, int]) -> list[dict[str, object]]:
    """One row a quantizer and metric: mean over cases and seeds, spread, paired differences."""
    rows: list[dict[str, object]] = []
    for name, n in seeds.items():
        for metric in METRICS:
            table = store.table(cases, name, n, metric)
            row: dict[str, object] = {
                "quantizer": name,
                "metric": metric,
                "seeds": n,
                "mean": table.mean(),
                "spread_over_seeds": table.mean(0).std(ddof=1) if n > 1 else 0.0,
            }
            for peer in ("itq", "sgd"):
                m = min(n, seeds[peer])
                if name in ("none", peer) or m == 0:
                    continue
                ours, theirs = table[:, :m], store.table(cases, peer, m, metric)
                if metric == "cpu_seconds":
                    row[f"ratio_to_{peer}"] = ours.sum() / theirs.sum()
                    by_case = ours.sum(1) / theirs.sum(1)
                    row[f"largest_ratio_to_{peer}"] = by_case.max()
                    continue
                gap = ours - theirs
                row[f"minus_{peer}"] = gap.mean()
                row[f"minus_{peer}_ci_seeds"] = interval(gap.mean(0))
                row[f"minus_{peer}_ci_cases"] = interval(gap.mean(1))
                row[f"cases_ahead_of_{peer}"] = int((gap.mean(1) > 0).sum())
            rows.append(row)
    return rows


def show(rows: list[dict[str, object]], store: Store, cases: list[str], n: int) -> None:
    """Print the tables as Markdown."""
    bound = np.mean([store.values[case, "cosine bound", 0, "cosine"] for case in cases])
    print(f"\nmean over {len(cases)} cases; real-valued cosine bound {bound:.2f}\n")
    print("| quantizer | metric | mean | spread | - ITQ (95 % seeds; cases; ahead) | - SGD |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        if row["metric"] == "cpu_seconds":
            gaps = [
                f"x {row[f'ratio_to_{p}']:.3f} (worst case {row[f'largest_ratio_to_{p}']:.3f})"
                if f"ratio_to_{p}" in row
                else ""
                for p in ("itq", "sgd")
            ]
        else:
            gaps = [
                f"{row[f'minus_{p}']:+.3f} ± {row[f'minus_{p}_ci_seeds']:.3f}; "
                f"± {row[f'minus_{p}_ci_cases']:.3f}; {row[f'cases_ahead_of_{p}']}/{len(cases)}"
                if f"minus_{p}" in row
                else ""
                for p in ("itq", "sgd")
            ]
        print(
            f"| {row['quantizer']} ({row['seeds']}) | {row['metric']} | {row['mean']:.3f} "
            f"| {row['spread_over_seeds']:.3f} | {gaps[0]} | {gaps[1]} |"
        )
    print("\n| case | bound | " + " | ".join(f"ITQ {r}, graduated - ITQ" for r in RANKINGS) + " |")
    print("|---|---|" + "---|" * len(RANKINGS))
    for case in cases:
        cells = []
        for ranking in RANKINGS:
            itq = store.table([case], "itq", n, ranking)
            gap = (store.table([case], "graduated", n, ranking) - itq)[0]
            cells.append(f"{itq.mean():.2f}, {gap.mean():+.2f} ± {interval(gap):.2f}")
        bound = store.values[case, "cosine bound", 0, "cosine"]
        print(f"| {case} | {bound:.2f} | " + " | ".join(cells) + " |")


def show_lead(store: Store, cases: list[str], seeds: dict[str, int]) -> None:
    """Print how far the default is from each objective of the paper, and from the best of them."""
    peers = [name for name in seeds if name.startswith("sgd")]
    n = seeds["sgd"]
    print("\n| graduated - | " + " | ".join(RANKINGS) + " |\n|---|" + "---|" * len(RANKINGS))
    tables = {r: {p: store.table(cases, p, n, r) for p in peers} for r in RANKINGS}
    ours = {r: store.table(cases, "graduated", n, r) for r in RANKINGS}
    best = {r: max(peers, key=lambda p, r=r: tables[r][p].mean()) for r in RANKINGS}
    for name in [*peers, "best"]:
        cells = []
        for r in RANKINGS:
            peer = best[r] if name == "best" else name
            gap = ours[r] - tables[r][peer]
            label = f" ({peer})" if name == "best" else ""
            cells.append(f"{gap.mean():+.3f} ± {interval(gap.mean(1)):.3f}{label}")
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("\n±: 95 % t interval over the cases.")


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of embeddings_*.npz")
    parser.add_argument("--out", type=Path, required=True, help="folder for the CSV files")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sgd-seeds", type=int, default=3, help="at most this many for sgd")
    parser.add_argument(
        "--objectives", action="store_true", help="run the paper's other objectives, too"
    )
    parser.add_argument("--queries", type=int, help="N evenly spaced queries of each case; all")
    parser.add_argument("--cases", default="*", help="shell pattern, such as 'cifar10/*'")
    parser.add_argument("--resume", action="store_true", help="keep the rows already measured")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    store = Store(args.out / "values.csv", resume=args.resume, n_queries=args.queries)
    cases = load_cases(args.data, args.cases, args.queries)
    seeds = {
        name: min(args.seeds, args.sgd_seeds) if name.startswith("sgd") else args.seeds
        for name in QUANTIZERS
        if args.objectives or not name.startswith("sgd-")
    } | {"none": 1}
    with Progress(disable=not sys.stderr.isatty()) as progress:
        for case in progress.track(cases):
            if not store.has(case.name, "cosine bound", 0):
                store.add(case.name, "cosine bound", 0, {"cosine": cosine_bound(case)})
            for name, seed in jobs(seeds):
                if not store.has(case.name, name, seed):
                    store.add(case.name, name, seed, measure(case, name, seed))
    names = [case.name for case in cases]
    rows = summarise(store, names, seeds)
    with (args.out / "summary.csv").open("w", newline="") as file:
        columns = list(dict.fromkeys(column for row in rows for column in row))
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    show(rows, store, names, args.seeds)
    if args.objectives:
        show_lead(store, names, seeds)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="skipped .* rows: they are zero")
    main()
