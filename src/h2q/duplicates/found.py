"""What a search for duplicates found: groups of items, and which of them are spare."""

from __future__ import annotations

from dataclasses import dataclass, field

from h2q.collections.base import Id
from h2q.duplicates.limits import Limits
from h2q.duplicates.photos import Photo
from h2q.duplicates.verifying import Level


@dataclass(frozen=True, eq=False)
class Member:
    """An item of a group.

    Attributes
    ----------
    row : int
        Its place in the collection, 0 the oldest.
    id : str or int
    change : str
        What it is beside the group's first item: "byte for byte", "re-encoded", "resized",
        "mirrored", "cropped", "nearly the same", ..., "" for the first itself, "alike" where only
        the codes say so.
    distance : int
        Hamming distance of its code from that of the first, in bits.
    photo : Photo or None
        Where and what it is; None where it cannot be verified.
    width, height : int or None
        In pixels, upright.
    protected : bool
        Lies in a protected folder.
    """

    row: int
    id: Id
    change: str
    distance: int
    photo: Photo | None = None
    width: int | None = None
    height: int | None = None
    protected: bool = False


@dataclass(frozen=True, eq=False)
class DuplicateGroup:
    """Items that hang together.

    Attributes
    ----------
    level : "same", "close" or "related"
    members : list of Member
        Of the level "same": the one to keep first, then by what is worth keeping; every other was
        compared with the first. Else: the others by their distance from the first.
    why : str
        Why the first is the one to keep; "" where nothing is said.
    """

    level: Level
    members: list[Member]
    why: str = ""

    def __len__(self) -> int:
        return len(self.members)

    @property
    def spare(self) -> list[Member]:
        """Photos that could be moved away: of one picture, not the kept one, not protected."""
        if self.level != "same":
            return []
        return [member for member in self.members[1:] if not member.protected]


@dataclass(frozen=True, eq=False)
class Duplicates:
    """What was found.

    Attributes
    ----------
    uri : str
        Of the collection.
    n_bits : int
    n_items : int
        Items looked at.
    n_verifiable : int
        Photos that lie at hand, unchanged.
    trouble : str
        What could not be verified and what would help; "" where all could.
    limits : Limits
        Radii and limits in force.
    groups : list of DuplicateGroup
        Those of level "same" first, then "close", then "related"; larger ones first.
    """

    uri: str
    n_bits: int
    n_items: int
    n_verifiable: int
    trouble: str
    limits: Limits
    groups: list[DuplicateGroup] = field(default_factory=list)

    def of(self, level: Level) -> list[DuplicateGroup]:
        """Return the groups of a level."""
        return [group for group in self.groups if group.level == level]

    @property
    def spare(self) -> list[Member]:
        """Photos that could be moved away (`DuplicateGroup.spare`), of all groups."""
        return [member for group in self.groups for member in group.spare]
