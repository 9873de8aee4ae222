"""Two photos looked at: whether they are one picture, the same picture changed, or neither."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from PIL import Image

from h2q.duplicates.candidates import Candidate
from h2q.duplicates.comparing import SIDE, Difference, difference, same_shape
from h2q.duplicates.crops import Placed, coarse_place, cut, fine_place
from h2q.duplicates.limits import Limits
from h2q.duplicates.look_cache import Measures
from h2q.duplicates.looks import Look, turned
from h2q.images import read_photo

#: What is said of a group. `"same"`: one picture, verified by its pixels or its bytes. `"close"`:
#: the same picture mirrored, turned or cropped, or two that look nearly the same. `"related"`:
#: alike by their codes, and nothing more is known.
Level: TypeAlias = Literal["same", "close", "related"]

_HELD: Final = 64  # photos in memory, at most 2 MB each
_WHOLE_FRAME: Final = 0.97  # a window of more is no crop


@dataclass(frozen=True)
class Verdict:
    """What was found of two photos.

    Attributes
    ----------
    first, second : int
        Places in the list of photos.
    level : "same" or "close"
    change : str
        What the second is beside the first: "byte for byte", "re-encoded", "resized", "mirrored",
        "turned", "mirrored and turned", "cropped", "whole" (the first is the crop), "nearly the
        same".
    hash_distance : int
        Of the perceptual hashes, in bits of 256, as the second was turned.
    """

    first: int
    second: int
    level: Level
    change: str
    hash_distance: int


class Verifier:
    """Reads photos and compares them.

    Parameters
    ----------
    paths : sequence of Path
    looks : sequence of Look
        Of each.
    limits : Limits
    """

    def __init__(self, paths: Sequence[Path], looks: Sequence[Look], limits: Limits) -> None:
        self._paths, self._looks, self._limits = paths, looks, limits
        self._photo = functools.lru_cache(maxsize=_HELD)(read_reduced)

    def verdict(self, candidate: Candidate, known: Measures) -> Verdict | None:
        """Look at two photos; None where they are two different ones. Called from many threads.

        Parameters
        ----------
        candidate : Candidate
        known : dict
            What was measured of the two before: it is not measured again, and what is joins it.

        Raises
        ------
        ImageError
            If one cannot be read.
        """
        if candidate.turn != "upright":
            return self._turned(candidate, known)
        return (
            self._whole(candidate, known)
            or self._cropped(candidate, known)
            or self._near(candidate)
        )

    def _whole(self, pair: Candidate, known: Measures) -> Verdict | None:
        if pair.distance > self._limits.hash_radius:
            return None
        sizes = [(self._looks[n].width, self._looks[n].height) for n in (pair.first, pair.second)]
        if not same_shape(*sizes):
            return None
        if "upright" not in known:
            found = difference(self._of(pair.first), self._of(pair.second))
            known["upright"] = dataclasses.astuple(found)
        if not Difference(*known["upright"]).within(self._limits.same):
            return None
        change = "re-encoded" if sizes[0] == sizes[1] else "resized"
        return Verdict(pair.first, pair.second, "same", change, pair.distance)

    def _turned(self, pair: Candidate, known: Measures) -> Verdict | None:
        if pair.turn not in known:
            first, other = self._of(pair.first), turned(self._of(pair.second), pair.turn)
            shape = same_shape(first.size, other.size)
            known[pair.turn] = dataclasses.astuple(difference(first, other)) if shape else None
        measured = known[pair.turn]
        if measured is None or not Difference(*measured).within(self._limits.same):
            return None
        change = " and ".join(word for word in ("mirrored", "turned") if word in pair.turn)
        return Verdict(pair.first, pair.second, "close", change, pair.distance)

    def _cropped(self, pair: Candidate, known: Measures) -> Verdict | None:
        if "rough" not in known:
            looks = self._looks[pair.first], self._looks[pair.second]
            ways = [(coarse_place(*looks), False), (coarse_place(*reversed(looks)), True)]
            best, swapped = max(ways, key=lambda way: way[0].fit)
            known["rough"] = [best.box, best.fit, swapped]
        box, fit, swapped = known["rough"]
        if fit < self._limits.coarse_fit:
            return None
        whole, part = (pair.second, pair.first) if swapped else (pair.first, pair.second)
        if "fine" not in known:
            found = fine_place(self._of(whole), self._of(part), Placed(tuple(box), fit))
            known["fine"] = [found.box, found.fit]
        box, fit = known["fine"]
        place = Placed(tuple(box), fit)
        if place.fit < self._limits.fine_fit or _area(place) > _WHOLE_FRAME:
            return None
        if "cut" not in known:
            delta = difference(cut(self._of(whole), place), self._of(part))
            known["cut"] = dataclasses.astuple(delta)
        if not Difference(*known["cut"]).within(self._limits.crop):
            return None
        change = "whole" if swapped else "cropped"
        return Verdict(pair.first, pair.second, "close", change, pair.distance)

    def _near(self, pair: Candidate) -> Verdict | None:
        if pair.distance > self._limits.close_radius:
            return None
        return Verdict(pair.first, pair.second, "close", "nearly the same", pair.distance)

    def _of(self, place: int) -> Image.Image:
        return self._photo(self._paths[place])


def read_reduced(path: Path) -> Image.Image:
    """Read a photo, upright, no larger than it is compared at."""
    image = read_photo(path, draft_side=SIDE).image
    if max(image.size) > SIDE:
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return image


def _area(place: Placed) -> float:
    left, top, right, lower = place.box
    return (right - left) * (lower - top)
