"""Duplicates moved away by a plan: never deleted, checked just before, logged, and undone."""

from h2q.duplicates.moving.apply import MoveReport, apply_plan, undo_moves
from h2q.duplicates.moving.plan import Move, MovePlan, make_move_plan, read_plan

__all__ = [
    "Move",
    "MovePlan",
    "MoveReport",
    "apply_plan",
    "make_move_plan",
    "read_plan",
    "undo_moves",
]
