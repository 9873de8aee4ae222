"""Near-duplicates: all pairs of codes within a Hamming radius, exactly, and the groups they form.

Groups are by chaining: two items are in one group where a chain of pairs, each within the radius,
leads from one to the other. The ends of a chain can lie further apart than the radius.
"""

from h2q.duplicates.distinct import DistinctCodes
from h2q.duplicates.groups import Group, Groups, find_groups
from h2q.duplicates.pairs import NearPairs, near_pairs
from h2q.duplicates.scan import duplicates_in

__all__ = [
    "DistinctCodes",
    "Group",
    "Groups",
    "NearPairs",
    "duplicates_in",
    "find_groups",
    "near_pairs",
]
