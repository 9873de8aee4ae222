"""Duplicates: photos that show the same picture, verified; and all pairs of near codes, exactly.

The room can be called: ``h2q.duplicates("photos.h2q")`` is `find_duplicates`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from h2q.duplicates.distinct import DistinctCodes
from h2q.duplicates.find import find_duplicates
from h2q.duplicates.found import DuplicateGroup, Duplicates, Member
from h2q.duplicates.groups import Group, Groups, find_groups
from h2q.duplicates.pairs import NearPairs, near_pairs
from h2q.duplicates.scan import duplicates_in

__all__ = [
    "DistinctCodes",
    "DuplicateGroup",
    "Duplicates",
    "Group",
    "Groups",
    "Member",
    "NearPairs",
    "duplicates_in",
    "find_duplicates",
    "find_groups",
    "near_pairs",
]


class _Callable(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Duplicates:
        """Find duplicates (`find_duplicates`)."""
        return find_duplicates(*args, **options)


sys.modules[__name__].__class__ = _Callable
