"""Ranks: the ways to order items for a query, in one table.

A rank is one file here (or in a program of one's own) and one row in `h2q.ranks.table`. What the
command line says of `--rank`, the table in ``docs/ranking.md``, what a collection allows and what
`h2q.evaluation` judges are all made from the rows.
"""

from h2q.ranks.keeping import KEEPS, KEEPS_OF_ROWS, Keep, check_keep
from h2q.ranks.spec import Candidates, Queries, RankSpec, Scan, Scorer
from h2q.ranks.table import (
    JUDGED,
    RANKS,
    as_markdown,
    choose_rank,
    class_of_artifact,
    has_artifact,
    help_text,
    is_shipped,
    judged_text,
    rank_named,
    rank_names,
    register_rank,
    shortlist_rank,
)

__all__ = [
    "JUDGED",
    "KEEPS",
    "KEEPS_OF_ROWS",
    "RANKS",
    "Candidates",
    "Keep",
    "Queries",
    "RankSpec",
    "Scan",
    "Scorer",
    "as_markdown",
    "check_keep",
    "choose_rank",
    "class_of_artifact",
    "has_artifact",
    "help_text",
    "is_shipped",
    "judged_text",
    "rank_named",
    "rank_names",
    "register_rank",
    "shortlist_rank",
]
