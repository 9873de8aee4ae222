"""Duplicates among the photos of a collection: candidates by hash and code, verified by content."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from h2q._paths import as_path
from h2q._typing import CodeArray, StrPath
from h2q.codes import hamming_distances
from h2q.collections import open_collection
from h2q.collections.base import Collection, Id, Where
from h2q.duplicates.candidates import Candidate, by_code, by_hash, by_turned_hash
from h2q.duplicates.found import DuplicateGroup, Duplicates, Member
from h2q.duplicates.groups import find_groups
from h2q.duplicates.keeping import choose, is_protected
from h2q.duplicates.limits import (
    SAMPLE,
    CodesPhotos,
    Copies,
    Limits,
    limits_of,
    measure_copies,
    starting_limits,
)
from h2q.duplicates.look_cache import LookCache, Measures
from h2q.duplicates.looks import Look, look_of
from h2q.duplicates.pairs import check_radius
from h2q.duplicates.photos import AtHand, Photo, photos_at_hand
from h2q.duplicates.verifying import Verdict, Verifier, read_reduced
from h2q.errors import H2QError, ImageError, InvalidInputError
from h2q.images import read_photo
from h2q.ingest.batches import in_batches
from h2q.ingest.models import kept_encoder
from h2q.ingest.photo_files import photo_path
from h2q.ingest.read_ahead import read_ahead

#: Told of a stage, how much of it is done, and of how much.
OnStage = Callable[[str, int, int], None]

_BATCH: Final = 50_000
_DRAFT: Final = 256  # pixels of the shorter side; the hash takes 64
_LOOKS: Final = 256  # are kept at a time: a run that is interrupted goes on from there
_COMPARED: Final = 512  # so are pairs
_NEIGHBOURS: Final = 10  # by code, of each photo, in which a crop is looked for
_SPLIT: Final = 20_000  # codes; a larger chain of related items is left whole
_RADIUS: Final = 2  # of codes of which nothing is known, in bits


def find_duplicates(
    collection: Collection | StrPath,
    *,
    radius: int | None = None,
    where: Where | None = None,
    protect: Iterable[StrPath] = (),
    encoder: CodesPhotos | None = None,
    random_state: int = 0,
    on_stage: OnStage = lambda stage, done, total: None,
) -> Duplicates:
    """Find photos that show the same picture, and say how sure that is.

    - ``"same"``: one picture, byte for byte, re-encoded, resized, or turned by EXIF. Verified:
      equal SHA-256, or near perceptual hashes (pHash, 256 bits) and equal pixels.
    - ``"close"``: the same picture mirrored, turned or cropped, verified by its pixels; or two
      photos that look nearly the same (a retouched one, the next of a burst).
    - ``"related"``: the codes are near, and nothing more is known. Never a reason to delete.

    How each photo looks, and what comparing two of them showed, is kept beside the collection
    (`photos.h2q.looks`): a second search reads only photos that are new. Limits are calibrated on
    copies of some of the photos themselves. An item whose photo is not
    at hand cannot be verified: it can only be related.

    Parameters
    ----------
    collection : Collection or path
        Of photos. One of other items gives groups of level "related".
    radius : int, optional
        Bits within which items are related; calibrated by default.
    where : mapping, optional
        Only items whose payload meets this (`h2q.collections.filters`).
    protect : iterable of paths
        Folders whose photos are never spare.
    encoder : optional
        What coded the photos (`h2q.ingest.Encoder`), for calibration of the radii of codes; by
        default what the collection keeps, where it can be loaded.
    random_state : int
        Decides which photos calibrate.
    on_stage : callable
        Told the name of a stage, how much of it is done, and of how much.

    Returns
    -------
    Duplicates

    Raises
    ------
    InvalidInputError
        If a protected folder does not exist, or the radius is negative.
    MissingExtraError
        If the library of the perceptual hash is not installed.
    """
    if radius is not None:
        check_radius(radius)
    folders = [_folder(path) for path in protect]
    if not isinstance(collection, Collection):
        with open_collection(collection, mode="r") as opened:
            return find_duplicates(
                opened, radius=radius, where=where, protect=folders, encoder=encoder,
                random_state=random_state, on_stage=on_stage,
            )  # fmt: skip
    ids, codes, payloads = _read(collection, where, on_stage)
    paths = [photo_path(payload) for payload in payloads]
    kept = _one_of_each_file(paths)  # places of one item a file
    if len(kept) < len(ids):
        ids, codes = [ids[i] for i in kept], codes[kept]
        payloads, paths = [payloads[i] for i in kept], [paths[i] for i in kept]
    at_hand = photos_at_hand(ids, payloads, paths)
    with LookCache(collection.uri) as cache:
        looks = _looks(at_hand, cache, on_stage)
        if where is None:
            cache.keep_only(photo.sha256 for photo in at_hand.photos)
        search = _Search(ids, codes, collection.n_bits, at_hand, looks, folders, cache)
        coder = _Coder(collection, encoder)
        limits = search.limits(coder, radius, random_state, on_stage)
        groups = search.verified(limits, on_stage)
    groups += search.related(limits, groups, on_stage)
    return Duplicates(
        collection.uri, collection.n_bits, len(ids), len(at_hand.photos), at_hand.trouble,
        limits, groups,
    )  # fmt: skip


def _folder(path: StrPath) -> Path:
    folder = as_path(path, "the folder").expanduser().resolve()
    if not folder.is_dir():
        raise InvalidInputError(f"the folder to protect, {path}, does not exist")
    return folder


class _Coder:
    """What coded the photos: given, or what the collection keeps, loaded when it is needed."""

    def __init__(self, collection: Collection, given: CodesPhotos | None) -> None:
        self._collection, self._loaded = collection, given
        self._kept = given is None and "model" in collection.fingerprints
        #: What its distances are kept by; "" where they cannot be.
        self.fingerprint = "none" if given is None else ""
        if self._kept:
            marks = json.dumps(dict(sorted(collection.fingerprints.items())))
            self.fingerprint = hashlib.sha256(marks.encode()).hexdigest()[:16]

    def load(self) -> CodesPhotos | None:
        """Return it; None where nothing is kept, or what runs it is not installed."""
        if self._kept and self._loaded is None:
            try:
                self._loaded = kept_encoder(self._collection)
            except H2QError:
                self._kept = False
                self.fingerprint = ""
        return self._loaded


def _read(
    collection: Collection, where: Where | None, on_stage: OnStage
) -> tuple[list[Id], CodeArray, list[dict[str, Any] | None]]:
    ids: list[Id] = []
    payloads: list[dict[str, Any] | None] = []
    blocks = [np.empty((0, -(-collection.n_bits // 8)), dtype=np.uint8)]
    total = collection.count(where)
    for batch in collection.iterate(_BATCH, where):
        ids.extend(batch.ids)
        blocks.append(batch.codes)
        payloads.extend(batch.payloads)
        on_stage("reading codes", len(ids), max(total, len(ids)))
    return ids, np.concatenate(blocks), payloads


def _one_of_each_file(paths: Sequence[Path | None]) -> list[int]:
    """Leave out what is a file once more, under another id: a photo is no copy of itself."""
    seen: set[Path] = set()
    kept: list[int] = []
    for place, path in enumerate(paths):
        if path is None or path not in seen:
            kept.append(place)
        if path is not None:
            seen.add(path)
    return kept


def _looks(at_hand: AtHand, cache: LookCache, on_stage: OnStage) -> dict[str, Look]:
    """Return looks by SHA-256, kept or taken now; set aside photos that cannot be read."""
    one_of = {photo.sha256: photo for photo in at_hand.photos}
    looks = cache.get(one_of)
    missing = [photo for digest, photo in one_of.items() if digest not in looks]

    def look(photo: Photo) -> Look | None:
        try:
            read = read_photo(photo.path, draft_side=_DRAFT)
            return look_of(read.image, (read.width, read.height))
        except ImageError:
            return None

    fresh: dict[str, Look] = {}
    for done, (photo, found) in enumerate(
        zip(missing, read_ahead(look, missing, ahead=32), strict=True), start=1
    ):
        if found is not None:
            looks[photo.sha256] = fresh[photo.sha256] = found
        if len(fresh) >= _LOOKS:
            cache.put(fresh)
            fresh.clear()
        on_stage("looking at photos", done, len(missing))
    cache.put(fresh)
    at_hand.unreadable = [p.path for p in at_hand.photos if p.sha256 not in looks]
    at_hand.photos = [p for p in at_hand.photos if p.sha256 in looks]
    return looks


class _Search:
    """The items of one search; contents (different files) are numbered by their first photo."""

    def __init__(
        self,
        ids: Sequence[Id],
        codes: CodeArray,
        n_bits: int,
        at_hand: AtHand,
        looks: dict[str, Look],
        folders: Sequence[Path],
        cache: LookCache,
    ) -> None:
        self.cache = cache
        self.ids, self.codes, self.n_bits = ids, codes, n_bits
        self.photos = at_hand.photos
        self.by_row = {photo.row: photo for photo in self.photos}
        copies: dict[str, list[Photo]] = defaultdict(list)
        for photo in self.photos:
            copies[photo.sha256].append(photo)
        #: Photos of each content, and how each content looks.
        self.contents = list(copies.values())
        self.looks = [looks[photos[0].sha256] for photos in self.contents]
        self.content_of = {
            photo.row: number for number, photos in enumerate(self.contents) for photo in photos
        }
        self.protected = {
            photo.row: is_protected(photo, folders) if folders else False for photo in self.photos
        }

    def limits(
        self,
        coder: _Coder,
        radius: int | None,
        random_state: int,
        on_stage: OnStage,
    ) -> Limits:
        """Calibrate on a sample of the photos."""
        if not self.contents:
            limits = starting_limits(self.n_bits)
            return replace(limits, related_radius=_RADIUS if radius is None else radius)
        # By their content, so that most of a sample stays when photos come and go.
        digests = sorted(
            (photos[0].sha256 for photos in self.contents),
            key=lambda digest: hashlib.sha256(f"{random_state}/{digest}".encode()).digest(),
        )[:SAMPLE]
        sample = self._copies(digests, coder, random_state, on_stage)
        try:
            limits = limits_of(sample, self.n_bits)
        except (AttributeError, KeyError, TypeError, ValueError):  # what was kept is damaged
            self.cache.forget_compared()
            sample = self._copies(digests, coder, random_state, on_stage)
            limits = limits_of(sample, self.n_bits)
        return limits if radius is None else replace(limits, related_radius=radius)

    def _copies(
        self, digests: Sequence[str], coder: _Coder, random_state: int, on_stage: OnStage
    ) -> list[Copies]:
        """Measure copies of these photos, where that is not kept."""
        path_of = {photos[0].sha256: photos[0].path for photos in self.contents}
        sample = []
        for done, digest in enumerate(digests, start=1):
            known = self.cache.compared(digest)
            name = f"copies/{random_state}/{coder.fingerprint}"
            if not coder.fingerprint or name not in known:
                try:
                    photo = read_reduced(path_of[digest])
                except ImageError:
                    continue
                rng = np.random.default_rng([random_state, *digest.encode()])
                copies = measure_copies(photo, rng, coder.load())
                if coder.fingerprint:  # it could be loaded
                    known = {name: copies}
                    self.cache.put_compared([(digest, "", known)])
                else:
                    known, name = {"": copies}, ""
                on_stage("calibrating", done, len(digests))
            sample.append(known[name])
        return sample

    def verified(self, limits: Limits, on_stage: OnStage) -> list[DuplicateGroup]:
        """Find the groups of the levels "same" and "close"."""
        paths = [photos[0].path for photos in self.contents]
        verifier = Verifier(paths, self.looks, limits)
        candidates = self._candidates(limits)

        def judge(asked: tuple[Candidate, Measures]) -> Verdict | None:
            try:
                try:
                    return verifier.verdict(*asked)
                except (TypeError, ValueError):  # what was kept of them is damaged
                    asked[1].clear()
                    return verifier.verdict(*asked)
            except ImageError:
                return None  # it went since it was looked at: nothing can be said of it

        verdicts = []
        done = 0
        for part in in_batches(candidates, _COMPARED):
            known = [self.cache.compared(*self._digests(pair)) for pair in part]
            before = [dict(measures) for measures in known]
            asked = zip(part, known, strict=True)
            verdicts += [v for v in read_ahead(judge, asked, ahead=256) if v is not None]
            self.cache.put_compared(
                (*self._digests(pair), measures)
                for pair, measures, old in zip(part, known, before, strict=True)
                if measures != old
            )
            done += len(part)
            on_stage("comparing photos", done, len(candidates))

        def judge_one(pair: Candidate) -> Verdict | None:
            known = self.cache.compared(*self._digests(pair))
            found = judge((pair, known))
            self.cache.put_compared([(*self._digests(pair), known)])
            return found

        same = self._same(verdicts, judge_one)
        return same + self._close(verdicts, same)

    def _digests(self, pair: Candidate) -> tuple[str, str]:
        return self.contents[pair.first][0].sha256, self.contents[pair.second][0].sha256

    def _candidates(self, limits: Limits) -> list[Candidate]:
        upright = by_hash(self.looks, max(limits.close_radius, limits.hash_radius))
        known = {(pair.first, pair.second) for pair in upright}
        turned = [
            pair
            for pair in by_turned_hash(self.looks, limits.hash_radius)
            if (pair.first, pair.second) not in known
        ]
        known |= {(pair.first, pair.second) for pair in turned}
        rows = [photos[0].row for photos in self.contents]
        crops = [
            Candidate(
                first, second, "upright", _bits_between(self.looks[first], self.looks[second])
            )
            for first, second, _ in by_code(
                self.codes[rows], self.n_bits, limits.code_radius, _NEIGHBOURS
            )
            if (first, second) not in known
        ]
        return [*upright, *turned, *crops]

    def _same(
        self, verdicts: Sequence[Verdict], judge: Callable[[Candidate], Verdict | None]
    ) -> list[DuplicateGroup]:
        """Group what is one picture; each is compared with the one to keep itself."""
        change: dict[tuple[int, int], str] = {}
        linked: dict[int, set[int]] = defaultdict(set)
        for verdict in verdicts:
            if verdict.level == "same":
                change[verdict.first, verdict.second] = verdict.change
                linked[verdict.first].add(verdict.second)
                linked[verdict.second].add(verdict.first)
        groups: list[DuplicateGroup] = []
        left = set(linked) | {n for n, photos in enumerate(self.contents) if len(photos) > 1}
        while left:
            component = _reached(left.pop(), linked)
            left -= component
            remaining = sorted(component)
            while remaining:
                photos = [photo for n in remaining for photo in self.contents[n]]
                order = self._order(photos)[0]
                head = self.content_of[photos[order[0]].row]
                members = [head]
                for other in remaining:
                    pair = (min(head, other), max(head, other))
                    if other != head and pair not in change:
                        bits = _bits_between(self.looks[pair[0]], self.looks[pair[1]])
                        found = judge(Candidate(*pair, "upright", bits))
                        if found is not None and found.level == "same":
                            change[pair] = found.change
                    if other != head and pair in change:
                        members.append(other)
                if sum(len(self.contents[n]) for n in members) > 1:
                    groups.append(self._group_of_same(head, members, change))
                remaining = [n for n in remaining if n not in members]
        return _sorted(groups)

    def _order(self, photos: Sequence[Photo]) -> tuple[list[int], str]:
        looks = [self.looks[self.content_of[photo.row]] for photo in photos]
        return choose(photos, looks, [self.protected[photo.row] for photo in photos])

    def _group_of_same(
        self, head: int, contents: Sequence[int], change: dict[tuple[int, int], str]
    ) -> DuplicateGroup:
        photos = [photo for n in contents for photo in self.contents[n]]
        order, why = self._order(photos)
        kept = photos[order[0]]
        members = []
        for place in order:
            photo = photos[place]
            number = self.content_of[photo.row]
            what = (
                "byte for byte" if number == head else change[min(head, number), max(head, number)]
            )
            members.append(self._member(photo.row, kept.row, "" if photo is kept else what))
        return DuplicateGroup("same", members, why)

    def _close(
        self, verdicts: Sequence[Verdict], same: Sequence[DuplicateGroup]
    ) -> list[DuplicateGroup]:
        """Group what is close around the photo that most are close to, until all are told."""
        group_of: dict[int, int] = {}
        for number, group in enumerate(same):
            for member in group.members:
                group_of[self.content_of[member.row]] = number

        def node(content: int) -> int:
            """Return the number of its group or, after these, that of its only content."""
            return group_of.get(content, len(same) + content)

        linked: dict[int, dict[int, str]] = defaultdict(dict)
        for verdict in verdicts:
            a, b = node(verdict.first), node(verdict.second)
            if verdict.level == "close" and a != b:
                linked[a].setdefault(b, verdict.change)
                linked[b].setdefault(a, _reversed(verdict.change))

        def rows(number: int) -> list[int]:
            if number < len(same):
                return [member.row for member in same[number].members]
            return [photo.row for photo in self.contents[number - len(same)]]

        def pixels(number: int) -> int:
            look = self.looks[self.content_of[rows(number)[0]]]
            return look.width * look.height

        groups = []
        together: set[frozenset[int]] = set()
        for head in sorted(linked, key=lambda n: (-len(linked[n]), -pixels(n), rows(n)[0])):
            others = [n for n in linked[head] if frozenset((head, n)) not in together]
            if not others:
                continue
            nodes = [head, *others]
            together |= {frozenset((a, b)) for a in nodes for b in nodes if a != b}
            first, *copies = rows(head)
            members = [self._member(first, first, "")]
            members += [self._member(row, first, "the same") for row in copies]
            for other in sorted(others, key=lambda n: rows(n)[0]):
                members += [self._member(row, first, linked[head][other]) for row in rows(other)]
            groups.append(DuplicateGroup("close", members))
        return _sorted(groups)

    def related(
        self, limits: Limits, verified: Sequence[DuplicateGroup], on_stage: OnStage
    ) -> list[DuplicateGroup]:
        """Find groups of items that only their codes bring together."""
        found = find_groups(
            self.codes,
            self.n_bits,
            limits.related_radius,
            on_progress=lambda done, total: on_stage("comparing codes", done, total),
        )
        known: dict[int, set[int]] = defaultdict(set)
        for number, group in enumerate(verified):
            for member in group.members:
                known[member.row].add(number)
        groups = []
        for number in range(len(found)):
            chain = found[number]
            for rows in self._stars(chain.rows, limits.related_radius):
                if set.intersection(*(known[row] for row in rows)):
                    continue  # more is known of them
                members = [self._member(row, rows[0], "alike") for row in rows]
                members[0] = replace(members[0], change="")
                groups.append(DuplicateGroup("related", members))
        return _sorted(groups)

    def _stars(self, rows: Any, radius: int) -> list[list[int]]:
        """Split a chain so that all of a group are within the radius of its first item."""
        if len(rows) > _SPLIT:
            return [rows.tolist()]
        groups = []
        while len(rows):
            far = hamming_distances(self.codes[rows[:1]], self.codes[rows])[0]
            near = rows[far <= radius]
            order = np.lexsort((near, far[far <= radius]))
            if len(near) > 1:
                groups.append(near[order].tolist())
            rows = rows[far > radius]
        return groups

    def _member(self, row: int, first: int, change: str) -> Member:
        distance = int(hamming_distances(self.codes[[first]], self.codes[[row]])[0, 0])
        photo = self.by_row.get(row)
        if photo is None:
            return Member(row, self.ids[row], change, distance)
        look = self.looks[self.content_of[row]]
        return Member(
            row, photo.id, change, distance, photo, look.width, look.height, self.protected[row]
        )


def _reached(start: int, linked: dict[int, set[int]]) -> set[int]:
    reached, waiting = {start}, [start]
    while waiting:
        for other in linked.get(waiting.pop(), ()):
            if other not in reached:
                reached.add(other)
                waiting.append(other)
    return reached


def _reversed(change: str) -> str:
    """Turn what the second is beside the first around."""
    return {"cropped": "whole", "whole": "cropped"}.get(change, change)


def _bits_between(first: Look, second: Look) -> int:
    return int(np.bitwise_count(first.hashes[0] ^ second.hashes[0]).sum())


def _sorted(groups: list[DuplicateGroup]) -> list[DuplicateGroup]:
    return sorted(groups, key=lambda group: (-len(group), min(m.row for m in group.members)))
