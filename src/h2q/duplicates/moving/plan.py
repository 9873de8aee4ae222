"""The plan: which photos are to be moved, and which photo each one is a copy of."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from h2q._files import write_whole
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q._version import __version__
from h2q.collections.base import Id
from h2q.duplicates.found import Duplicates, Member
from h2q.errors import FormatError

_FORMAT: Final = "h2q duplicates plan"
_VERSION: Final = 1
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Move:
    """One photo to be moved.

    Attributes
    ----------
    id : str or int
        Of the item in the collection.
    path : str
        The photo, absolute.
    folder : str
        The folder that was indexed; what follows it in `path` is kept where it is moved to.
    sha256 : str
        What the file held when the plan was made.
    keep, keep_sha256 : str
        The photo that stays, and what it held.
    change : str
        What the moved one is beside the kept one: "byte for byte", "re-encoded", "resized".
    why : str
        Why the other is kept.
    """

    id: Id
    path: str
    folder: str
    sha256: str
    keep: str
    keep_sha256: str
    change: str
    why: str


@dataclass(frozen=True)
class MovePlan:
    """What `h2q duplicates apply` is to do.

    Attributes
    ----------
    collection : str
    moves : list of Move
    """

    collection: str
    moves: list[Move]

    def to_dict(self) -> dict[str, Any]:
        """Return it as the content of its file, for JSON."""
        return {
            "format": _FORMAT,
            "format_version": _VERSION,
            "made_by": f"h2q {__version__}",
            "collection": self.collection,
            "moves": [asdict(move) for move in self.moves],
        }

    def write(self, path: StrPath) -> None:
        """Write it as JSON, whole or not at all; it is meant to be read, and edited, by people."""
        # Escaped: a name that is not UTF-8 holds halves of surrogate pairs.
        write_whole(path, json.dumps(self.to_dict(), indent=1).encode("ascii") + b"\n")


def make_move_plan(found: Duplicates) -> MovePlan:
    """Plan to move every photo to spare: of the level "same", not kept, not protected.

    A file that has two names (a link, hard or symbolic) is one photo, and is left.

    Parameters
    ----------
    found : Duplicates
    """
    pairs = [(group.members[0], spare) for group in found.of("same") for spare in group.spare]
    return plan_of(found.uri, [(kept, spare, _why(kept, spare)) for kept, spare in pairs])


def plan_of(uri: str, chosen: Iterable[tuple[Member, Member, str]]) -> MovePlan:
    """Plan to move the second of each pair away because the first is kept, for a reason.

    A file that has two names (a link, hard or symbolic) is one photo, and is left.

    Parameters
    ----------
    uri : str
        Of the collection.
    chosen : iterable of (Member, Member, str)
    """
    moves = []
    for kept, spare, why in chosen:
        keep, photo = kept.photo, spare.photo
        if keep is None or photo is None or _one_file(photo.path, keep.path):
            continue
        moves.append(
            Move(
                photo.id,
                str(photo.path),
                photo.folder,
                photo.sha256,
                str(keep.path),
                keep.sha256,
                spare.change,
                why,
            )
        )
    return MovePlan(uri if "://" in uri else str(Path(uri).absolute()), moves)


def read_plan(path: StrPath) -> MovePlan:
    """Read and check a plan.

    Raises
    ------
    FormatError
        If it is no plan, or asks for what none asks for: a path that is not absolute or goes up,
        a photo that is both kept and moved.
    """
    file = as_path(path, "the plan")
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: cannot be read as a plan ({error})") from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise FormatError(f"{path}: is no plan of `h2q duplicates --plan`")
    if document.get("format_version") != _VERSION:
        raise FormatError(
            f"{path}: is a plan of version {document.get('format_version')!r}, this h2q reads "
            f"{_VERSION}; make it again with `h2q duplicates --plan`"
        )
    moves, collection = document.get("moves"), document.get("collection")
    if not isinstance(moves, list) or not isinstance(collection, str):
        raise FormatError(f"{path}: lacks its moves or its collection")
    read = [_move(path, number, move) for number, move in enumerate(moves, start=1)]
    moved = {move.path for move in read}
    if len(moved) < len(read):
        raise FormatError(f"{path}: names a photo to move twice")
    for move in read:
        if move.keep in moved:
            raise FormatError(f"{path}: {move.keep} is to be kept and to be moved")
    return MovePlan(collection, read)


def _move(path: StrPath, number: int, entry: Any) -> Move:
    names = Move.__dataclass_fields__
    if not isinstance(entry, dict) or set(entry) != set(names):
        raise FormatError(f"{path}: move {number} does not have the fields {', '.join(names)}")
    move = Move(**entry)
    texts = [value for name, value in entry.items() if name != "id"]
    if not all(isinstance(text, str) for text in texts) or not isinstance(move.id, str | int):
        raise FormatError(f"{path}: move {number} holds what is no text")
    for name in (move.path, move.keep, move.folder):
        if not os.path.isabs(name) or ".." in Path(name).parts or "\0" in name:  # noqa: PTH117
            raise FormatError(f"{path}: move {number}: {name!r} is no absolute path")
    if not (_DIGEST.fullmatch(move.sha256) and _DIGEST.fullmatch(move.keep_sha256)):
        raise FormatError(f"{path}: move {number} has no SHA-256")
    return move


def _why(kept: Member, member: Member) -> str:
    sizes = [f"{m.width} x {m.height}" for m in (kept, member)]
    if sizes[0] != sizes[1]:
        return f"the kept one is larger: {sizes[0]} pixels against {sizes[1]}"
    assert kept.photo is not None and member.photo is not None  # noqa: S101, PT018
    if kept.photo.sha256 == member.photo.sha256:
        return "the kept one is protected, older, or has the shorter path"
    if kept.photo.format != member.photo.format:
        return f"the kept one is {kept.photo.format or 'of another format'}"
    if kept.photo.size != member.photo.size:
        return f"the kept file is larger: {kept.photo.size:,} bytes against {member.photo.size:,}"
    return "the kept one is protected, older, or has the shorter path"


def _one_file(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:
        return False
