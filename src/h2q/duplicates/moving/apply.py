"""Carry out a plan, and take it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from h2q._paths import as_path
from h2q._progress import OnProgress, no_progress
from h2q._typing import StrPath
from h2q.collections import open_collection
from h2q.collections.base import Collection
from h2q.duplicates.moving.files import (
    ChangedError,
    check_content,
    free_name,
    move_file,
    partial_of,
)
from h2q.duplicates.moving.log import LOG_NAME, Entry, Log, encoded_code
from h2q.duplicates.moving.plan import Move, MovePlan
from h2q.errors import CollectionError, H2QError, InvalidInputError

_BATCH: Final = 500


@dataclass
class MoveReport:
    """What was done.

    Attributes
    ----------
    log : Path
    moved : int
        Photos that were moved (or, by `undo_moves`, moved back).
    before : int
        Photos of the plan that an earlier run had moved.
    skipped : list of (str, str)
        Path and reason of each that was left alone.
    collection_note : str
        What became of the collection's items, and what is left to do.
    """

    log: Path
    moved: int = 0
    before: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    collection_note: str = ""


def apply_plan(
    plan: MovePlan,
    to: StrPath,
    *,
    on_progress: OnProgress = no_progress,
) -> MoveReport:
    """Move the photos of a plan to a folder, each below its name under the indexed folder.

    Nothing is deleted or overwritten. Just before each move both photos are read again: a photo
    that has changed, or whose kept copy has gone or changed, is left alone. `h2q-moves.jsonl` in
    that folder says of every move where the photo was. A run that was killed is gone on with by
    the same call. The items of moved photos leave the collection.

    Parameters
    ----------
    plan : MovePlan
    to : path
        Made where it is absent; outside the folders that were indexed, or the next `h2q index`
        finds the photos again.
    on_progress : callable

    Raises
    ------
    InvalidInputError
        If the folder lies in one that was indexed.
    """
    if not isinstance(plan, MovePlan):
        raise InvalidInputError(f"plan is what read_plan(path) returns, got {plan!r:.80}")
    target = as_path(to, "the folder").expanduser().resolve()
    for folder in {move.folder for move in plan.moves}:
        if target.is_relative_to(Path(folder).resolve()):
            raise InvalidInputError(
                f"{target} lies in {folder}, which is indexed: the next `h2q index` would find "
                "the duplicates again; give a folder outside it"
            )
    report = MoveReport(target / LOG_NAME)
    with _opened(plan.collection) as (collection, trouble), Log(report.log, create=True) as log:
        _settle(log)
        for done, move in enumerate(plan.moves, start=1):
            _apply(move, plan.collection, target, collection, log, report)
            on_progress(done, len(plan.moves))
        away = [entry for entry in log.entries.values() if entry.state == "moved"]
        ours = [entry for entry in away if entry.collection == plan.collection]
        report.collection_note = _forget(collection, ours, trouble)
    return report


def undo_moves(log_path: StrPath, *, on_progress: OnProgress = no_progress) -> MoveReport:
    """Move everything back that a log says was moved, the last first, and restore its items.

    A photo that is not what was moved, or whose old name is taken, is left where it is.

    Parameters
    ----------
    log_path : path
        `h2q-moves.jsonl`, or the folder it lies in.
    on_progress : callable
    """
    path = as_path(log_path, "the log").expanduser()
    path = path / LOG_NAME if path.is_dir() else path
    report = MoveReport(path)
    with Log(path) as log:
        _settle(log)
        away = [entry for entry in log.entries.values() if entry.state == "moved"]
        for done, entry in enumerate(reversed(away), start=1):
            source, target = Path(entry.target), Path(entry.source)
            try:
                if target.exists() or target.is_symlink():
                    raise ChangedError(f"{target} is there again")
                log.note(entry, "returning")
                move_file(source, target, entry.sha256)
            except (ChangedError, OSError) as error:
                log.note(entry, "moved")
                report.skipped.append((str(source), _reason(error)))
            else:
                log.note(entry, "returned")
                report.moved += 1
                _tidy(source.parent, path.parent)
            on_progress(done, len(away))
        back = [entry for entry in log.entries.values() if entry.state == "returned"]
        notes = []
        for uri in sorted({entry.collection for entry in back}):
            with _opened(uri) as (collection, trouble):
                ours = [entry for entry in back if entry.collection == uri]
                notes.append(_restore(collection, ours, trouble))
        report.collection_note = "; ".join(note for note in notes if note)
    return report


def _apply(
    move: Move, uri: str, to: Path, collection: Collection | None, log: Log, report: MoveReport
) -> None:
    source, keep = Path(move.path), Path(move.keep)
    if not source.exists() and any(
        entry.state == "moved" and entry.sha256 == move.sha256 for entry in log.by_source(move.path)
    ):
        report.before += 1
        return
    try:
        check_content(source, move.sha256)
        _check_kept(source, keep, move.keep_sha256)
        target = free_name(to / _below(source, Path(move.folder)))
        entry = _entry(move, uri, target, collection, log)
        log.begin(entry)
        try:
            move_file(source, target, move.sha256)
        except (ChangedError, OSError):
            log.note(entry, "left")
            raise
        log.note(entry, "moved")
        report.moved += 1
    except (ChangedError, OSError) as error:
        report.skipped.append((move.path, _reason(error)))


def _tidy(folder: Path, top: Path) -> None:
    """Take away the folders below `top` that moving made and moving back has left empty."""
    top = top.resolve()
    while folder != top and folder.is_relative_to(top):
        try:
            folder.rmdir()  # an empty one alone
        except OSError:
            return
        folder = folder.parent


def _check_kept(source: Path, keep: Path, sha256: str) -> None:
    """Raise `ChangedError` unless the kept photo is another file, and what it was."""
    try:
        if keep.samefile(source):
            raise ChangedError(f"is the same file as {keep}, by another name")
        check_content(keep.resolve(), sha256)
    except OSError as error:
        raise ChangedError(f"the kept {keep} is not there ({error.strerror})") from error
    except ChangedError as error:
        if "same file" in str(error):
            raise
        raise ChangedError(f"the kept {keep}: {error}") from error


def _below(source: Path, folder: Path) -> Path:
    return source.relative_to(folder) if source.is_relative_to(folder) else Path(source.name)


def _entry(move: Move, uri: str, target: Path, collection: Collection | None, log: Log) -> Entry:
    item = collection.get([move.id])[0] if collection is not None else None
    code = None if item is None else encoded_code(np.asarray(item.code, np.uint8).tobytes())
    payload = None if item is None else item.payload
    return Entry(
        log.next_number(), move.path, str(target), move.sha256, move.id, uri, code, payload
    )


def _settle(log: Log) -> None:
    """Bring what a killed run left half done to one of its two ends."""
    for entry in list(log.entries.values()):
        if entry.state not in ("moving", "returning"):
            continue
        began, ended = (
            (entry.source, entry.target)
            if entry.state == "moving"
            else (entry.target, entry.source)
        )
        source, target = Path(began), Path(ended)
        partial_of(target).unlink(missing_ok=True)  # a copy we were writing
        if _holds(source, entry.sha256):
            # Not moved, or copied and not yet taken away: the copy (or the empty name) is ours.
            if target.is_file() and (target.stat().st_size == 0 or _holds(target, entry.sha256)):
                target.unlink()
            log.note(entry, "left" if entry.state == "moving" else "moved")
        elif _holds(target, entry.sha256):
            log.note(entry, "moved" if entry.state == "moving" else "returned")
        else:
            log.note(entry, "left" if entry.state == "moving" else "moved")


def _holds(path: Path, sha256: str) -> bool:
    try:
        check_content(path, sha256)
    except ChangedError:
        return False
    return True


def _forget(collection: Collection | None, moved: Sequence[Entry], trouble: str) -> str:
    if not moved:
        return ""
    if collection is None:
        return (
            f"the collection still lists the moved photos ({trouble}); "
            "`h2q index FOLDER -c COLLECTION --prune` brings it up to date"
        )
    removed = 0
    for start in range(0, len(moved), _BATCH):
        part = moved[start : start + _BATCH]
        items = collection.get([entry.id for entry in part])
        # An item that stands for another file by now stays.
        gone = [
            entry.id
            for entry, item in zip(part, items, strict=True)
            if item is not None
            and (item.payload or {}).get("sha256") == entry.sha256
            and not Path(entry.source).exists()
        ]
        removed += collection.delete(gone)
    return f"{removed:,} items left the collection" if removed else ""


def _restore(collection: Collection | None, back: Sequence[Entry], trouble: str) -> str:
    known = [entry for entry in back if entry.code is not None]
    if collection is None or collection.keep != "codes" or len(known) < len(back):
        why = trouble or "it keeps more of an item than its code"
        return f"run `h2q index` to bring the photos back into the collection ({why})"
    restored = 0
    for start in range(0, len(known), _BATCH):
        part = known[start : start + _BATCH]
        items = collection.get([entry.id for entry in part])
        absent = [entry for entry, item in zip(part, items, strict=True) if item is None]
        if absent:
            codes = np.stack([np.frombuffer(entry.code_bytes or b"", np.uint8) for entry in absent])
            collection.add([e.id for e in absent], codes, [e.payload for e in absent])
        restored += len(absent)
    return f"{restored:,} items are back in the collection" if restored else ""


class _opened:  # noqa: N801
    """Open a collection for writing, or say why it cannot be."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._collection: Collection | None = None

    def __enter__(self) -> tuple[Collection | None, str]:
        if "://" not in self._uri and not Path(self._uri).is_file():
            return None, f"{self._uri} is not there"
        try:
            self._collection = open_collection(self._uri)
        except (CollectionError, H2QError, OSError) as error:
            return None, str(error)
        return self._collection, ""

    def __exit__(self, *exception: object) -> None:
        if self._collection is not None:
            self._collection.close()


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
