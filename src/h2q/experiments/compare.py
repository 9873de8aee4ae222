"""Published figures beside ours: where the setting is the same, and where it is not, how."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.errors import FormatError, InvalidInputError
from h2q.experiments.results import Result
from h2q.experiments.summary import Case, cells

_COLUMNS: Final = ("backbone", "dataset", "bits", "loss", "quantization", "map_mean_percent")
#: Where the publication cut its mAP off.
_PUBLISHED_TOP: Final = {"imagenet100": 1000}
_DEFAULT_TOP: Final = 5000


@dataclass(frozen=True)
class Published:
    """A figure of the reference table; mAP in percent."""

    backbone: str
    dataset: str
    bits: int
    loss: str
    quantization: str
    mean: float
    spread: float | None


@dataclass(frozen=True)
class Comparison:
    """A published figure beside ours.

    Attributes
    ----------
    case : Case
        Ours.
    quantization : str
    ours, published : float
        mAP in percent, `embedding` ranking (the publication's).
    published_backbone : str
    differences : tuple of str
        What is not the same in the two settings; empty where they are.
    """

    case: Case
    quantization: str
    ours: float
    published: float
    published_backbone: str
    differences: tuple[str, ...]


def read_published(path: StrPath) -> list[Published]:
    """Read a table with columns backbone, dataset, bits, loss, quantization, map_mean_percent.

    ``map_std_percent`` may be there too.
    """
    place = as_path(path)
    if not place.is_file():
        raise InvalidInputError(f"there is no {str(place)!r} to compare with")
    with place.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise FormatError(f"{place} has no column {missing[0]!r}; it needs {_COLUMNS}")
        try:
            return [
                Published(
                    row["backbone"],
                    row["dataset"],
                    int(row["bits"]),
                    row["loss"],
                    row["quantization"],
                    float(row["map_mean_percent"]),
                    float(row["map_std_percent"]) if row.get("map_std_percent") else None,
                )
                for row in reader
            ]
        except (TypeError, ValueError) as error:
            raise FormatError(f"{place}, line {reader.line_num}: {error}") from error


def compare(results: Sequence[Result], published: Sequence[Published]) -> list[Comparison]:
    """Pair every published figure with ours of the same data set, loss, bits and quantization.

    Figures of the publication's own backbone are paired with it where we ran it; otherwise with
    each backbone we did run, and the difference is named.
    """
    ours = cells(results, metric="mAP", ranking="embedding")
    facts = {Case(*r.case): r for r in results if r.ranking == "embedding"}
    tops = {
        Case(*r.case): int(r.metric.removeprefix("mAP@"))
        for r in results
        if r.ranking == "embedding" and r.metric.startswith("mAP@")
    }
    pairs = []
    for entry in published:
        matching = [
            case
            for case, row in ours.items()
            if (case.dataset, case.loss, case.bits) == (entry.dataset, entry.loss, entry.bits)
            and entry.quantization in row
        ]
        same = [case for case in matching if case.backbone == entry.backbone]
        for case in same or matching:
            differences = _differences(facts[case], tops[case], entry)
            mean = 100 * ours[case][entry.quantization].mean
            pairs.append(
                Comparison(case, entry.quantization, mean, entry.mean, entry.backbone, differences)
            )
    return pairs


def _differences(ours: Result, top: int, entry: Published) -> tuple[str, ...]:
    found = []
    if ours.backbone != entry.backbone:
        found.append(f"backbone {ours.backbone}, not {entry.backbone}")
    if ours.freeze_backbone:
        found.append("backbone frozen, not fine-tuned")
    expected = _PUBLISHED_TOP.get(entry.dataset, _DEFAULT_TOP)
    if top != expected:
        found.append(f"mAP@{top}, not mAP@{expected}")
    return tuple(found)


def render_comparison(pairs: Sequence[Comparison]) -> str:
    """Markdown: ours, published, the difference, and what else differs."""
    if not pairs:
        return (
            "No published figure has the data set, loss, length and quantization of one of ours.\n"
        )
    same = sum(not pair.differences for pair in pairs)
    lines = [
        f"{len(pairs)} published figures have the data set, loss, length and quantization of one "
        f"of ours; in {same} of them the whole setting is the same.",
        "",
        "| data set | loss | bits | quantization | ours | published | difference | not the same |",
        "| --- | --- | --: | --- | --: | --: | --: | --- |",
    ]
    lines += [
        f"| {p.case.dataset} | {p.case.loss} | {p.case.bits} | {p.quantization} | {p.ours:.1f} | "
        f"{p.published:.1f} ({p.published_backbone}) | {p.ours - p.published:+.1f} | "
        f"{'; '.join(p.differences) or 'nothing'} |"
        for p in pairs
    ]
    return "\n".join([*lines, ""])
