"""A collection brought up to date with a folder, whoever codes: planned, stored and counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.base import Collection, Id
from h2q.errors import ImageError
from h2q.ingest.batches import in_batches
from h2q.ingest.listing import PhotoListing
from h2q.ingest.photo_files import PhotoFile, check_prefix, content_hash, seen_in
from h2q.ingest.plan import Known, known_by_content, make_plan
from h2q.ingest.report import IndexReport


class Update:
    """What a collection lacks of a folder, and the storing of it.

    Made, it has compared the folder with the collection and renewed the payloads of photos that
    were only touched. Then everything in `todo` is to be coded and given to `store`, and `finish`
    counts, or deletes, what is gone.

    Parameters
    ----------
    collection : Collection
    listing : PhotoListing
    prefix : str
        Of the ids.
    batch_size : int
        Payloads renewed at a time.

    Attributes
    ----------
    todo : list of PhotoFile
        Photos to be coded.
    known : dict of str to Known
        Stored items by their SHA-256, those alone that may be one of the photos; photos stored in
        this run join them.
    codes_alone : bool
        Whether the collection keeps nothing of the rows: a photo of known content then needs no
        coding. A record of a row cannot be read back, so where there are some it is coded again.
    report : IndexReport

    Raises
    ------
    InvalidInputError
        If an id already stands for a photo of another folder.
    """

    def __init__(
        self, collection: Collection, listing: PhotoListing, prefix: str, batch_size: int
    ) -> None:
        self.collection = collection
        self.codes_alone = collection.keep == "codes"
        self.report = IndexReport(
            skipped=list(listing.skipped), passed_over=dict(listing.passed_over)
        )
        check_prefix(prefix)
        plan = make_plan(collection, listing, prefix.strip("/"))
        self.report.unchanged = plan.unchanged
        self.report.skipped.extend(plan.unreadable)
        touched = [] if self.codes_alone else [file for file, _ in plan.touched]
        self.todo: list[PhotoFile] = [*plan.new, *plan.changed]
        self._is_local = listing.is_local
        self._gone: dict[Id, None] = dict.fromkeys(plan.gone)
        self.known: dict[str, Known] = {}
        self._left: dict[str, list[Id]] = {}  # of those that are gone, by their content
        if self._is_local:
            self.known, self._left = known_by_content(collection, self.todo, self._gone)
        self.todo += touched
        self._is_new = {file.id for file in plan.new}
        self._is_touched = {file.id for file in touched}
        if self.codes_alone:
            self._renew(plan.touched, batch_size)

    def store(
        self,
        ids: Sequence[Any],
        codes: CodeArray,
        payloads: Sequence[dict[str, Any]],
        rows: NDArray[np.float32] | None,
    ) -> None:
        """Store coded photos and count them; an item that was moved leaves its old id."""
        if not len(ids):
            return
        self.collection.add(ids, codes, payloads, embeddings=rows)
        moved_from = self._moved(ids, payloads)
        if moved_from:
            self.collection.delete(list(moved_from))
            for item_id in moved_from:
                del self._gone[item_id]
        added = sum(item_id in self._is_new for item_id in ids) - len(moved_from)
        renewed = sum(item_id in self._is_touched for item_id in ids) + len(moved_from)
        self.report.added += added
        self.report.renewed += renewed
        self.report.updated += len(ids) - added - renewed
        if self._is_local:
            for code, payload in zip(codes, payloads, strict=True):
                twin = Known(code, seen_in(payload), payload["size"])
                self.known.setdefault(str(payload["sha256"]), twin)

    def store_known(self, batch_size: int, *, gps: bool) -> None:
        """Store what is new and of known content, so that nobody need code it.

        For those who code elsewhere; who reads the files here sees it while reading.
        """
        if not self.codes_alone or not self.known:
            return
        sizes = {known.size for known in self.known.values()}
        rest: list[PhotoFile] = []
        for part in in_batches(self.todo, batch_size):
            found: list[tuple[PhotoFile, Known, str]] = []
            for file in part:
                digest = _digest(file) if file.size in sizes else ""
                twin = self.known.get(digest)
                if twin is None or not twin.serves(gps):
                    rest.append(file)
                else:
                    found.append((file, twin, digest))
            if found:
                payloads = [file.payload(digest, twin.seen) for file, twin, digest in found]
                codes = np.stack([twin.code for _, twin, _ in found])
                self.store([file.id for file, _, _ in found], codes, payloads, None)
        self.todo = rest

    def finish(self, *, prune: bool) -> IndexReport:
        """Delete the items whose photos are gone, or count them."""
        if prune:
            self.report.removed = self.collection.delete(list(self._gone))
        else:
            self.report.gone = len(self._gone)
        return self.report

    def _renew(self, touched: Sequence[tuple[PhotoFile, dict[str, Any]]], batch_size: int) -> None:
        """Store new payloads with the codes that are there."""
        for part in in_batches(touched, batch_size):
            items = self.collection.get([file.id for file, _ in part])
            held = [(item, payload) for item, (_, payload) in zip(items, part, strict=True) if item]
            if held:
                codes = np.stack([item.code for item, _ in held])
                payloads = [payload for _, payload in held]
                self.collection.add([item.id for item, _ in held], codes, payloads)
            self.report.renewed += len(held)

    def _moved(self, ids: Sequence[Any], payloads: Sequence[dict[str, Any]]) -> set[Any]:
        """Ids whose files are gone and whose content has just come in under another name."""
        moved: set[Any] = set()
        for item_id, payload in zip(ids, payloads, strict=True):
            left = self._left.get(str(payload["sha256"])) if item_id in self._is_new else None
            if left:
                moved.add(left.pop(0))
        return moved


def _digest(file: PhotoFile) -> str:
    try:
        return content_hash(file.path)
    except (OSError, ImageError):
        return ""  # who reads it says what is wrong with it
