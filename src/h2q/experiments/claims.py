"""The paper's claims as counts: where a rotation hurt, and how far the bound is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from h2q.experiments.quantizers import QUANTIZATIONS
from h2q.experiments.results import Result
from h2q.experiments.summary import bound, cells

RANKINGS = ("hamming", "asymmetric", "embedding")
HURT_HEADER = ["quantization", "ranking", "cases below none", "of", "worst case", "points"]
GAP_HEADER = ["data set", "backbone", "bits", "quantization", *RANKINGS, "cases"]


def hurt_rows(results: Sequence[Result]) -> list[list[str]]:
    """How often each quantization is below none in the mean over seeds, and where it is most."""
    rows = []
    for name in QUANTIZATIONS:
        for ranking in RANKINGS:
            gains = {
                case: 100 * (row[name].mean - row["none"].mean)
                for case, row in cells(results, metric="mAP", ranking=ranking).items()
                if name in row and "none" in row and name != "none"
            }
            if not gains:
                continue
            worst = min(gains, key=lambda case: gains[case])
            below = sum(gain < 0 for gain in gains.values())
            place = " ".join(map(str, worst))
            rows.append([name, ranking, str(below), str(len(gains)), place, f"{gains[worst]:+.2f}"])
    return rows


def gap_rows(
    results: Sequence[Result], quantizations: Sequence[str] = ("none", "itq", "h2q")
) -> list[list[str]]:
    """Points of mAP below the cosine bound of the same embeddings, mean over the losses."""
    limits = bound(results)
    by_ranking = {r: cells(results, metric="mAP", ranking=r) for r in RANKINGS}
    rows = []
    places = sorted({(case.dataset, case.backbone, case.bits) for case in limits})
    for dataset, backbone, bits in places:
        for name in quantizations:
            gaps: dict[str, list[float]] = {
                ranking: [
                    100 * (row[name].mean - limits[case].mean)
                    for case, row in found.items()
                    if (case.dataset, case.backbone, case.bits) == (dataset, backbone, bits)
                    and case in limits
                    and name in row
                ]
                for ranking, found in by_ranking.items()
            }
            if all(gaps.values()):
                means = [f"{statistics.fmean(gaps[ranking]):+.2f}" for ranking in RANKINGS]
                n_cases = str(len(gaps["hamming"]))
                rows.append([dataset, backbone, str(bits), name, *means, n_cases])
    return rows
