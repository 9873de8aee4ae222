"""What decoding codes is worth: ranking by expected embeddings, against signs and the cosine bound.

    python bench/decoding.py RUN NAME=SPEC ... [--seeds 0 1 2] [--out FOLDER]

RUN is a folder of ``h2q paper run``, whose embeddings are used as they are; NAME=SPEC says where
its data sets lie, as for that command. Of each training without a penalty: H²Q (graduated) is
fitted on the training rows and `h2q.CodeDecoder` on the same rows. mAP@5000 in percent, expected
over ties, of the queries against the database, by

- cosine: the real embeddings, the bound of what a code can say of them;
- hamming, asymmetric: codes alone;
- decoded: codes alone, `CodeDecoder` with its default flip probability;
- chosen: the same with the probability of best mAP among the validation items (each of them a
  query against the others; the training rows would favour what remembers them).

Written to the folder: ``decoding.csv`` (a row a value) and ``decoding.md`` (the table, with paired
differences and the 95 % interval of the bootstrap that `h2q.experiments.intervals` describes).
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from h2q import CodeDecoder, HouseholderQuantizer
from h2q.codes import pack
from h2q.datasets import Dataset, load_dataset
from h2q.evaluation import Ranking, evaluate, mean_average_precision
from h2q.experiments import Result, Source, read_results
from h2q.experiments.embeddings import Embeddings, load_embeddings
from h2q.experiments.intervals import bootstrap
from h2q.experiments.judging import rotate
from h2q.experiments.provenance import TRAINING, source_digest
from h2q.experiments.training import labels_of

TOP = 5000
FLIPS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)
RANKINGS = ("cosine", "hamming", "asymmetric", "decoded", "chosen")
Rows = NDArray[np.float32]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("datasets", nargs="+", type=Source.parse, metavar="NAME=SPEC")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--digest", help="of the source that trained, where that was another")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    given = parser.parse_args()
    datasets = {source.name: load_dataset(source.spec) for source in given.datasets}
    digest = given.digest or source_digest(TRAINING)
    jobs = {
        r.job: r
        for r in read_results(given.run)
        if r.quantization == "none" and r.seed in given.seeds and r.dataset in datasets
    }
    values: list[tuple[Result, str, float]] = []
    missing = 0
    for job, result in track(jobs.items(), description="trainings"):
        path = given.run / "embeddings" / f"{job}.safetensors"
        dataset = datasets[result.dataset]
        embeddings = load_embeddings(path, labels_of(dataset), digest)
        if embeddings is None:
            missing += 1
            continue
        values += [(result, name, value) for name, value in judge(embeddings, dataset, result.seed)]
    if not values:
        parser.error(f"{given.run} keeps no embeddings of this source and these data sets")
    given.out.mkdir(parents=True, exist_ok=True)
    with (given.out / "decoding.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("dataset", "loss", "bits", "seed", "ranking", "map_percent"))
        for result, name, value in values:
            key = (result.dataset, result.loss, result.bits, result.seed)
            writer.writerow((*key, name, f"{100 * value:.4f}"))
    text = summary(values)
    if missing:
        text += f"\n{missing} trainings have no embeddings of this source and were left out.\n"
    (given.out / "decoding.md").write_text(text, encoding="utf-8")
    print(text)


def judge(embeddings: Embeddings, dataset: Dataset, seed: int) -> list[tuple[str, float]]:
    """Mean average precision of one training by each ranking."""
    quantizer = HouseholderQuantizer(random_state=seed).fit(embeddings.rows["train"])
    rows = {split: rotate(quantizer, z) for split, z in embeddings.rows.items()}
    validation, truth = rows["validation"], dataset.validation.labels
    scores = {}
    for flip in FLIPS:
        decoder = CodeDecoder(flip, random_state=seed).fit(rows["train"])
        scores[flip] = by_product_among(validation, decoder.decode(pack(validation)), truth)
    best = max(scores, key=lambda flip: scores[flip])
    sides = (rows["query"], rows["database"], dataset.query.labels, dataset.database.labels)
    decoders = {
        "decoded": CodeDecoder(random_state=seed).fit(rows["train"]),
        "chosen": CodeDecoder(best, random_state=seed).fit(rows["train"]),
    }
    names: tuple[Ranking, ...] = ("cosine", "hamming", "asymmetric")
    found = evaluate(*sides, k=TOP, rankings=names, radii=())
    values = [(name, found[name][f"mAP@{TOP}"]) for name in names]
    return values + [
        (name, mean_average_precision(*sides, ranking="decoded", k=TOP, decoder=decoder))
        for name, decoder in decoders.items()
    ]


def by_product_among(query: Rows, items: Rows, labels: NDArray[np.int64]) -> float:
    """Mean average precision by inner product of each item against all the others."""
    scores = query @ items.T
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
    same = labels @ labels.T > 0 if labels.ndim == 2 else labels[:, None] == labels
    hits = np.take_along_axis(same, order, axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    some = hits.any(axis=1)
    return float(np.mean((precision * hits).sum(axis=1)[some] / hits.sum(axis=1)[some]))


def summary(values: list[tuple[Result, str, float]]) -> str:
    """Tables in Markdown: means by data set and bits, and paired differences."""
    by_group: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    pairs: dict[tuple[str, str, int], dict[int, dict[str, float]]] = defaultdict(dict)
    for result, name, value in values:
        by_group[result.dataset, result.bits][name].append(100 * value)
        case = (result.dataset, result.loss, result.bits)
        pairs[case].setdefault(result.seed, {})[name] = 100 * value
    lines = ["| data | bits | trainings | " + " | ".join(RANKINGS) + " |"]
    lines.append("|---|---|---|" + "---|" * len(RANKINGS))
    for (name, bits), row in sorted(by_group.items()):
        cells = " | ".join(f"{np.mean(row[ranking]):.2f}" for ranking in RANKINGS)
        lines.append(f"| {name} | {bits} | {len(row['cosine'])} | {cells} |")
    lines += ["", "| difference | data | mean | 95 % | cases ahead |", "|---|---|---|---|---|"]
    names = [*sorted({case[0] for case in pairs}), "all"]
    for first, second in (
        ("decoded", "asymmetric"), ("chosen", "asymmetric"), ("chosen", "decoded"),
        ("asymmetric", "cosine"), ("chosen", "cosine"),
    ):  # fmt: skip
        for name in names:
            rows = [
                np.array([seed[first] - seed[second] for seed in seeds.values()])
                for case, seeds in pairs.items()
                if name in (case[0], "all")
            ]
            mean, low, high = bootstrap(rows)
            ahead = sum(row.mean() > 0 for row in rows)
            lines.append(
                f"| {first} − {second} | {name} | {mean:+.2f} | {low:+.2f} to {high:+.2f} "
                f"| {ahead} of {len(rows)} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
