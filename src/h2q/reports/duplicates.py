"""Duplicates as a page with pictures, and as a table of all items."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from PIL import Image

from h2q._files import written_whole
from h2q._progress import OnProgress, no_progress
from h2q._typing import StrPath
from h2q.duplicates.found import DuplicateGroup, Duplicates, Member
from h2q.duplicates.verifying import Level
from h2q.errors import ImageError
from h2q.images import read_image
from h2q.ingest.read_ahead import read_ahead
from h2q.reports.page import Card, Page

#: Items of a group that are shown; of a larger group, the first ones.
MOST_CARDS: Final = 12
_SIDE: Final = 300
_LEVELS: Final[dict[Level, tuple[str, str]]] = {
    "same": (
        "The same picture",
        "Verified: the bytes are equal, or the perceptual hashes are near and the pixels agree. "
        "The first of each group is the one to keep; every other was compared with it.",
    ),
    "close": (
        "Close",
        "The same picture mirrored, turned or cropped (verified by its pixels), or two that look "
        "nearly the same: a retouched one, the next of a burst. Look before you part with one.",
    ),
    "related": (
        "Related",
        "Only the codes are near: alike in what they show. Nothing was verified, and nothing here "
        "is a reason to delete a photo.",
    ),
}


def duplicates_page(
    found: Duplicates,
    *,
    limit: int = 50,
    on_progress: OnProgress = no_progress,
) -> Page:
    """Build the page: what was found, then the groups with their photos.

    A photo that cannot be read leaves an empty field that says so.

    Parameters
    ----------
    found : Duplicates
    limit : int
        Groups shown of each level at most.
    on_progress : callable
        Told how many photos of how many are drawn.
    """
    page = Page("Duplicates", f"{found.uri}: {found.n_items:,} items, codes of {found.n_bits} bits")
    spare = found.spare
    room = sum(member.photo.size for member in spare if member.photo is not None)
    page.numbers(
        (f"{len(found.of('same')):,}", "pictures that are there more than once"),
        (f"{len(spare):,}", f"photos to spare, {_bytes(room)}"),
        (f"{len(found.of('close')):,}", "groups of close photos"),
        (f"{len(found.of('related')):,}", "groups of related items"),
    )
    if found.trouble:
        page.text(found.trouble[0].upper() + found.trouble[1:] + ".")
    shown = {level: found.of(level)[:limit] for level in _LEVELS}
    members = [
        m for groups in shown.values() for group in groups for m in group.members[:MOST_CARDS]
    ]
    pictures = read_ahead(_picture, members, ahead=64)
    done = 0
    for level, (title, meaning) in _LEVELS.items():
        groups = shown[level]
        if not groups:
            continue
        page.heading(f"{title} ({len(found.of(level)):,})")
        page.text(meaning)
        for place, group in enumerate(groups, start=1):
            cards = []
            for member in group.members[:MOST_CARDS]:
                cards.append(_card(group, member, next(pictures)))
                done += 1
                on_progress(done, len(members))
            page.subheading(_title(place, group))
            page.cards(cards)
        if len(groups) < len(found.of(level)):
            page.text(f"{len(found.of(level)) - len(groups):,} more groups are not shown.")
    if found.limits.calibrated:
        _add_limits(page, found)
    return page


def write_group_table(path: StrPath, found: Duplicates) -> Path:
    """Write every item of every group as CSV, whole or not at all.

    The columns: group (numbered as on the page, within its level), level, id, keep, change,
    distance, path, width, height, size, date.
    """
    with written_whole(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
        writer = csv.writer(text)
        writer.writerow(
            ["group", "level", "id", "keep", "change", "distance", "path", "width", "height",
             "size", "date"]
        )  # fmt: skip
        for level in _LEVELS:
            for place, group in enumerate(found.of(level), start=1):
                writer.writerows(_lines(place, group))
        text.flush()
        text.detach()
    return Path(path)


def _lines(place: int, group: DuplicateGroup) -> Iterator[Sequence[object]]:
    for number, member in enumerate(group.members):
        keep = "yes" if group.level == "same" and number == 0 else ""
        photo = member.photo
        about: tuple[object, ...] = ("", "", "", "", "")
        if photo is not None:
            about = (photo.path, member.width, member.height, photo.size, photo.date)
        yield (place, group.level, member.id, keep, member.change, member.distance, *about)


def _title(place: int, group: DuplicateGroup) -> str:
    more = f", the first {MOST_CARDS} shown" if len(group) > MOST_CARDS else ""
    why = f" — kept because {group.why}" if group.why else ""
    return f"{place}. {len(group):,} items{more}{why}"


def _card(group: DuplicateGroup, member: Member, picture: bytes | None) -> Card:
    first = member is group.members[0]
    badge = member.change
    if group.level == "same":
        badge = (
            "keep"
            if first
            else f"{member.change} · " + ("protected" if member.protected else "spare")
        )
    elif first:
        badge = "compared with this"
    lines = []
    photo = member.photo
    if photo is not None:
        lines.append(f"{member.width} × {member.height} · {_bytes(photo.size)}")
        lines.append(f"{'taken' if photo.taken else 'changed'} {photo.date.replace('T', ' ')}")
    if not first and group.level == "related":
        lines.append(f"{member.distance} bit{'' if member.distance == 1 else 's'} away")
    missing = "not verified: no photo at hand" if photo is None else "cannot be read"
    return Card(
        picture,
        str(member.id),
        lines,
        badge,
        strong=first and group.level == "same",
        missing=missing,
    )


def _picture(member: Member) -> bytes | None:
    if member.photo is None:
        return None
    try:
        picture = read_image(member.photo.path)
    except ImageError:
        return None
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=82)
    return file.getvalue()


def _add_limits(page: Page, found: Duplicates) -> None:
    page.heading("How the limits were set")
    limits = found.limits
    page.text(
        "Copies of some of these photos were made and measured; the limits follow from them. "
        f"Perceptual hashes of one picture are within {limits.hash_radius} bits of 256, its pixels "
        f"differ by at most {limits.same.overall:.0f} grey levels overall and "
        f"{limits.same.local:.0f} in any spot; crops were looked for among codes within "
        f"{limits.code_radius} bits; related are codes within {limits.related_radius}."
    )
    page.table(
        ["copies", "hash, median", "hash, 95 of 100", "pixels overall", "pixels in a spot"],
        [
            [
                kind,
                *(_rounded(seen, name) for name in ("hash_distance.median", "hash_distance.95th")),
                *(_rounded(seen, name) for name in ("overall.95th", "local.95th")),
            ]
            for kind, seen in limits.calibrated.items()
        ],
        caption="Copies beside their originals; pixels in grey levels, of 95 in 100 copies.",
    )


def _rounded(seen: dict[str, float], name: str) -> str:
    return f"{seen[name]:.1f}" if name in seen else "–"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1000
    raise AssertionError
