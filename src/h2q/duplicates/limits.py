"""What tells a copy from another photo, calibrated on copies of the collection's own photos."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from h2q._typing import CodeArray
from h2q.codes import hamming_distances
from h2q.duplicates.comparing import Difference, difference
from h2q.duplicates.crops import coarse_place, cut, fine_place
from h2q.duplicates.looks import Look, look_of, turned

#: Photos of which copies are made.
SAMPLE: Final = 32
_LEAST: Final = 8  # with fewer the limits stay where they begin


class CodesPhotos(Protocol):
    """What calibration needs of an encoder (`h2q.ingest.Encoder`)."""

    def prepare(self, image: Image.Image, /) -> Any:
        """Turn an image into the network's input."""

    def embed(self, prepared: Sequence[Any], /) -> NDArray[np.float32]:
        """Embed what `prepare` made."""

    def code(self, rows: NDArray[np.float32], /) -> CodeArray:
        """Code rows: packed, one an image."""


@dataclass(frozen=True)
class Limits:
    """The radii and limits in force.

    Attributes
    ----------
    hash_radius : int
        Perceptual hashes of a copy of the whole picture are within this many bits of 256.
    close_radius : int
        Within this many bits two photos look nearly the same, whatever their pixels say.
    same : Difference
        Pixels of copies of one picture differ no more.
    coarse_fit, fine_fit : float
        A crop correlates with its place at least so well, in the thumbnail and in the photo.
    crop : Difference
        Pixels of a crop and of what was cut out of the whole differ no more.
    code_radius : int
        Codes of a crop are within this many bits; it only decides what is looked at.
    related_radius : int
        Codes within this many bits are called related.
    calibrated : dict
        Kind of copy -> what was seen of the sample; empty where nothing was calibrated.
    """

    hash_radius: int
    close_radius: int
    same: Difference
    coarse_fit: float
    fine_fit: float
    crop: Difference
    code_radius: int
    related_radius: int
    calibrated: dict[str, dict[str, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)


def starting_limits(n_bits: int) -> Limits:
    """Return the limits for a collection that nothing is known of."""
    return Limits(
        hash_radius=16,
        close_radius=24,
        same=Difference(18.0, 12.5, 11.5),
        coarse_fit=0.82,
        fine_fit=0.9,
        crop=Difference(40.0, 90.0, 16.0),
        code_radius=n_bits // 5,
        related_radius=n_bits // 32,
    )


#: Kind of copy -> what was measured of it beside its photo.
Copies: TypeAlias = dict[str, dict[str, float]]


def measure_copies(
    photo: Image.Image, rng: np.random.Generator, encoder: CodesPhotos | None = None
) -> Copies:
    """Make copies of a photo as people do, and measure how far they are from it.

    They are re-encoded, resized, cropped, mirrored and turned.

    Parameters
    ----------
    photo : PIL.Image.Image
        Upright RGB, in full resolution or reduced to a size above 256 pixels.
    rng : numpy.random.Generator
        Decides where crops are cut.
    encoder : optional
        What coded the photos; without it nothing is said of codes.
    """
    look = look_of(photo)
    copies = list(_copies(photo, rng))
    found = {kind: _measured(photo, look, kind, copy) for kind, copy in copies}
    if encoder is not None:
        images = [photo, *(copy for _, copy in copies)]
        codes = encoder.code(encoder.embed([encoder.prepare(image) for image in images]))
        far = hamming_distances(codes[:1], codes[1:])[0].tolist()
        for measured, distance in zip(found.values(), far, strict=True):
            measured["code_distance"] = float(distance)
    return found


def limits_of(copies: Sequence[Copies], n_bits: int) -> Limits:
    """Set the limits by what was measured of copies of some photos.

    Every limit stays within bounds, so that a strange sample neither calls different photos the
    same nor finds nothing. Without distances of codes, their radii stay where they begin.

    Parameters
    ----------
    copies : sequence of Copies
        Of each photo of the sample; of a few photos alone nothing is concluded.
    n_bits : int
        Of the collection's codes.
    """
    limits = starting_limits(n_bits)
    if len(copies) < _LEAST:
        return limits
    seen: dict[str, list[dict[str, float]]] = {}
    for each in copies:
        for kind, measured in each.items():
            seen.setdefault(kind, []).append(measured)
    table = {kind: _gathered(rows) for kind, rows in seen.items()}
    whole = [row for kind in _WHOLE for row in seen[kind]]
    crops = seen["cropped"]
    radii = {}
    if all("code_distance" in row for rows in seen.values() for row in rows):
        kept = [row["code_distance"] for kind in (*_WHOLE, "mirrored") for row in seen[kind]]
        radii = {
            "code_radius": _bounded(
                _high([row["code_distance"] for row in crops], 95), n_bits / 16, n_bits / 4
            ),
            "related_radius": _bounded(_high(kept, 90), n_bits / 64, n_bits / 10),
        }
    return Limits(
        hash_radius=int(_bounded(_high([row["hash_distance"] for row in whole], 99) + 4, 12, 20)),
        close_radius=limits.close_radius,
        same=Difference(
            _bounded(1.5 * _high([row["overall"] for row in whole], 99), 14, 20),
            _bounded(1.5 * _high([row["local"] for row in whole], 99), 10, 14),
            _bounded(1.5 * _high([row["colour"] for row in whole], 99), 9, 13),
        ),
        coarse_fit=_bounded(_high([row["coarse_fit"] for row in crops], 2) - 0.02, 0.76, 0.84),
        fine_fit=_bounded(_high([row["fine_fit"] for row in crops], 2) - 0.01, 0.86, 0.91),
        crop=limits.crop,
        code_radius=int(radii.get("code_radius", limits.code_radius)),
        related_radius=int(radii.get("related_radius", limits.related_radius)),
        calibrated=table,
    )


#: Copies that show the whole picture, upright.
_WHOLE: Final = ("re-encoded", "strongly re-encoded", "half size", "quarter size")


def _copies(photo: Image.Image, rng: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    yield "re-encoded", _jpeg(photo, 75)
    yield "strongly re-encoded", _jpeg(photo, 30)
    yield "half size", _jpeg(_scaled(photo, 0.5), 80)
    yield "quarter size", _jpeg(_scaled(photo, 0.25), 80)
    share = rng.uniform(0.7, 0.95, 2)
    width, height = (max(8, int(n * s)) for n, s in zip(photo.size, share, strict=True))
    left = int(rng.integers(0, max(1, photo.width - width + 1)))
    top = int(rng.integers(0, max(1, photo.height - height + 1)))
    yield "cropped", _jpeg(photo.crop((left, top, left + width, top + height)), 85)
    yield "mirrored", _jpeg(turned(photo, "mirrored"), 85)
    yield "turned by 90 degrees", _jpeg(turned(photo, "turned by 90 degrees"), 85)


def _measured(photo: Image.Image, look: Look, kind: str, copy: Image.Image) -> dict[str, float]:
    other = look_of(copy)
    if kind == "cropped":
        rough = coarse_place(look, other)
        place = fine_place(photo, copy, rough)
        delta = difference(cut(photo, place), copy)
        found: dict[str, float] = {"coarse_fit": rough.fit, "fine_fit": place.fit}
    else:
        turn = kind if kind in ("mirrored", "turned by 90 degrees") else "upright"
        undone = "turned by 270 degrees" if turn == "turned by 90 degrees" else turn
        delta = difference(photo, turned(copy, undone))
        bits = np.bitwise_count(look.hashes[0] ^ look_of(turned(copy, undone)).hashes[0])
        found = {"hash_distance": float(bits.sum())}
    return {**found, **asdict(delta)}


def _gathered(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Median, and the value that 95 of 100 copies keep to."""
    out: dict[str, float] = {"copies": len(rows)}
    for name in rows[0]:
        values = [row[name] for row in rows]
        out[f"{name}.median"] = round(_high(values, 50), 3)
        out[f"{name}.95th"] = round(_high(values, 5 if name.endswith("fit") else 95), 3)
    return out


def _high(values: Sequence[float], percent: float) -> float:
    array: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    return float(np.percentile(array, percent))


def _bounded(value: float, least: float, most: float) -> float:
    return min(max(value, least), most)


def _scaled(photo: Image.Image, share: float) -> Image.Image:
    size = (max(1, round(photo.width * share)), max(1, round(photo.height * share)))
    return photo.resize(size, Image.Resampling.LANCZOS)


def _jpeg(photo: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")
