"""What an indexing run did."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from h2q._progress import OnProgress, no_progress

__all__ = ["IndexReport", "OnProgress", "Skipped", "no_progress"]


@dataclass(frozen=True)
class Skipped:
    """A file, or a row of one, that could not be used."""

    path: str
    reason: str


@dataclass
class IndexReport:
    """Counts of one run; every file of the folder is in exactly one of the first five.

    Attributes
    ----------
    added : int
        New items.
    updated : int
        Items whose file had other content.
    renewed : int
        Items of the same content whose file was touched, moved or renamed: nothing was embedded.
    unchanged : int
    skipped : list of Skipped
        Files that could not be read, and rows of zeros, which have no direction and no code. An
        item stored for such a file or row earlier stays.
    removed : int
        Items whose file is gone (with `prune`).
    gone : int
        Items whose file is gone and that stay (without `prune`).
    passed_over : dict of str to int
        Films, counted by their suffix.
    repeated : int
        Of rows: those whose id came again; the last of each id stands. They count as updated.
    unlabelled : int
        Of rows of a file with labels: those that have none (-1, NaN or a gap), and are stored so.
    """

    added: int = 0
    updated: int = 0
    renewed: int = 0
    unchanged: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    removed: int = 0
    gone: int = 0
    passed_over: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    unlabelled: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Values that JSON can hold."""
        return asdict(self)
