"""What decoding codes is worth, on classes that were seen and on classes that were not.

    python bench/decoding.py --data FOLDER --out FOLDER [--seeds 3] [--queries 300] [--text FILE]

FOLDER holds ``embeddings_NAME.npz`` files as `bench/quantizers.py` takes them. Of each array, H²Q
(graduated) is fitted on the training rows. mAP in percent, expected over ties, of the queries
against the whole database, by

- cosine: the real embeddings;
- denoised: the real embeddings with the memory of the training rows that the decoder has (each
  row half way to the mean of the training rows around it): what to hold decoding against;
- hamming, asymmetric: codes alone;
- decoded: codes alone, `h2q.CodeDecoder` with its default parameters, fitted on the training rows;
- posterior: the same with ``trust=1``, the posterior mean.

"unseen": the decoder and the memory have training rows of one half of the classes, and the queries
are of the other half (Sablayrolles et al., "How should we evaluate supervised hashing?",
ICASSP 2017); the database is whole. Both halves are asked, and each seed halves the classes anew.

``--text``: a file with unlabelled `base` and `query` rows; 64, 128 and 256 bits of PCA; the share
of the true 10 nearest by cosine among the first 10, with the decoder fitted on the base.

Written to the output folder: ``decoding.csv`` (a row a value).
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress
from scipy import stats

from h2q import CodeDecoder, HouseholderQuantizer
from h2q.codes import unpack_signs
from h2q.evaluation import mean_average_precision
from quantizers import Case, load_cases

NAMES = ("cosine", "denoised", "hamming", "asymmetric", "decoded", "posterior")
Rows = NDArray[np.float32]
Value = tuple[str, str, int, str, float]


def denoised(rows: Rows, memory: Rows, decoder: CodeDecoder) -> Rows:
    """Real rows drawn towards the rows of a memory that are near, as the decoder draws signs."""
    k = rows.shape[1]
    memory = np.sqrt(k) * memory / np.linalg.norm(memory, axis=1, keepdims=True)
    rows = np.sqrt(k) * rows / np.linalg.norm(rows, axis=1, keepdims=True)
    logits = (rows @ memory.T - k) / decoder.spread**2  # both have norm sqrt(k)
    highest = logits.max(axis=1, keepdims=True)
    weights = np.exp(logits - highest)
    near = weights @ memory / weights.sum(axis=1, keepdims=True)
    return np.asarray(decoder.trust * near + (1 - decoder.trust) * rows, dtype=np.float32)


def judge(case: Case, seed: int) -> list[Value]:
    """Return every value of one case."""
    quantizer = HouseholderQuantizer(random_state=seed).fit(case.rows["train"])
    rows = {part: np.asarray(quantizer.rotate(z)) for part, z in case.rows.items()}
    train = case.labels["train"]
    classes = np.unique(train)
    half = np.random.default_rng(seed).permutation(classes)[: len(classes) // 2]
    known = np.isin(train, half)
    asked = np.isin(case.labels["query"], half)
    everything = (np.ones(len(train), bool), np.ones(len(asked), bool))
    values: list[Value] = []
    for name, parts in (
        ("seen", [everything]),
        ("unseen", [(known, ~asked), (~known, asked)]),
    ):
        found: dict[str, list[float]] = defaultdict(list)
        for memory, queries in parts:
            for ranking, value in rankings(case, rows, memory, queries, seed).items():
                found[ranking].append(value)
        values += [(case.name, name, seed, r, float(np.mean(v))) for r, v in found.items()]
    return values


def rankings(
    case: Case,
    rows: dict[str, Rows],
    memory: NDArray[np.bool_],
    asked: NDArray[np.bool_],
    seed: int,
) -> dict[str, float]:
    """Return mAP in percent by ranking, of some queries, with a memory of some training rows."""
    kept = rows["train"][memory]
    query, database = rows["query"][asked], rows["database"]
    labels = (case.labels["query"][asked], case.labels["database"])
    decoders = {
        "decoded": CodeDecoder(random_state=seed).fit(kept),
        "posterior": CodeDecoder(trust=1.0, random_state=seed).fit(kept),
    }
    found = {
        name: mean_average_precision(query, database, *labels, rank=name)
        for name in ("cosine", "hamming", "asymmetric")
    }
    for name, decoder in decoders.items():
        found[name] = mean_average_precision(
            query, database, *labels, rank="decoded", decoder=decoder
        )
    memory_rows = decoders["decoded"].prototypes_
    found["denoised"] = mean_average_precision(
        query, denoised(database, memory_rows, decoders["decoded"]), *labels, rank="cosine"
    )
    return {name: 100 * value for name, value in found.items()}


def show(values: list[Value]) -> None:
    """Print the tables as Markdown."""
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for case, kind, _, ranking, value in values:
        found[kind, case, ranking].append(value)
    means = {key: float(np.mean(each)) for key, each in found.items()}
    cases = list(dict.fromkeys(case for case, *_ in values))
    sets = sorted({case.partition("/")[0] for case in cases})
    groups = {name: [c for c in cases if c.startswith(f"{name}/")] for name in sets}
    groups["all"] = cases
    print_row("data", "classes", *NAMES)
    print_row(*["---"] * (2 + len(NAMES)))
    for kind in ("seen", "unseen"):
        for group, chosen in groups.items():
            cells = [np.mean([means[kind, c, name] for c in chosen]) for name in NAMES]
            print_row(f"{group} ({len(chosen)})", kind, *(f"{cell:.2f}" for cell in cells))
    print()
    print_row("difference", "classes", "data", "mean", "95 %", "least", "cases ahead")
    print_row(*["---"] * 7)
    for first, second in (
        ("decoded", "asymmetric"), ("posterior", "asymmetric"),
        ("decoded", "cosine"), ("decoded", "denoised"),
    ):  # fmt: skip
        for kind in ("seen", "unseen"):
            for group, chosen in groups.items():
                gaps = np.array([means[kind, c, first] - means[kind, c, second] for c in chosen])
                n = len(gaps)
                width = stats.t.ppf(0.975, n - 1) * gaps.std(ddof=1) / np.sqrt(n)
                numbers = (f"{gaps.mean():+.2f}", f"± {width:.2f}", f"{gaps.min():+.2f}")
                ahead = f"{int((gaps > 0).sum())} of {n}"
                print_row(f"{first} - {second}", kind, group, *numbers, ahead)
    print("\n±: 95 % t interval over the cases.")


def print_row(*cells: str) -> None:
    """Print a row of a table."""
    print("| " + " | ".join(cells) + " |")


def text(path: Path) -> None:
    """Print recall@10 of unlabelled rows."""
    with np.load(path, allow_pickle=False) as file:
        base, query = file["base"].astype(np.float32), file["query"].astype(np.float32)
    truth = np.argsort(-(query @ base.T), axis=1)[:, :10]
    print("\n| unlabelled, bits | asymmetric | decoded | posterior |\n|---|---|---|---|")
    for n_bits in (64, 128, 256):
        quantizer = HouseholderQuantizer(n_bits, random_state=0).fit(base)
        rows, codes = np.asarray(quantizer.rotate(base)), quantizer.transform(base)
        rotated = np.asarray(quantizer.rotate(query))
        sides = {"asymmetric": unpack_signs(codes, n_bits)}
        for name, trust in (("decoded", 0.5), ("posterior", 1.0)):
            sides[name] = CodeDecoder(trust=trust, random_state=0).fit(rows).decode(codes)
        shares = []
        for side in sides.values():
            first = np.argsort(-(rotated @ side.T), axis=1)[:, :10]
            hits = [len(np.intersect1d(a, b)) for a, b in zip(first, truth, strict=True)]
            shares.append(f"{10 * np.mean(hits):.1f}")
        print(f"| {path.stem}, {n_bits} | " + " | ".join(shares) + " |")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of embeddings_*.npz")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--queries", type=int, help="N evenly spaced queries of each case; all")
    parser.add_argument("--cases", default="*/???_*", help="shell pattern, such as 'cifar10/*'")
    parser.add_argument("--text", type=Path, help="file of unlabelled rows, base and query")
    args = parser.parse_args()
    cases = load_cases(args.data, args.cases, args.queries)
    values: list[Value] = []
    with Progress(disable=not sys.stderr.isatty()) as progress:
        for case in progress.track(cases):
            for seed in range(args.seeds):
                values += judge(case, seed)
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / "decoding.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("case", "classes", "seed", "ranking", "map_percent"))
        writer.writerows((*key, f"{value:.4f}") for *key, value in values)
    show(values)
    if args.text is not None:
        text(args.text)


if __name__ == "__main__":
    main()
