"""Duplicates: the groups, and the plan of what a person chose; no file is changed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from h2q.collections.http.wire import id_of, key_of
from h2q.errors import InvalidInputError
from h2q.serving.reviewing import chosen_plan
from h2q.serving.routes._shared import PROBLEMS, Served
from h2q.serving.schemas import DuplicatesOut, GroupOut, PlanIn

if TYPE_CHECKING:
    from h2q.duplicates import DuplicateGroup, Member

router = APIRouter(prefix="/api/v1", tags=["duplicates"], responses=PROBLEMS)


@router.get("/duplicates", summary="Groups of duplicates, found in the background.")
def duplicates(
    library: Served,
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> DuplicatesOut:
    """Ask again until they are ready; "same" first, then "close", then "related"."""
    found = library.duplicates()
    stage, done, total = library.review.progress
    if found is None:
        return DuplicatesOut(ready=False, stage=stage, done=done, of=total)
    return DuplicatesOut(
        ready=True,
        stage="done",
        done=found.n_items,
        of=found.n_items,
        trouble=found.trouble,
        counts={level: len(found.of(level)) for level in ("same", "close", "related")},
        spare=len(found.spare),
        groups=[_group(group) for group in found.groups[offset : offset + limit]],
    )


@router.post("/duplicates/plan", summary="The plan of what was chosen, for `duplicates apply`.")
def plan(library: Served, body: PlanIn) -> dict[str, Any]:
    """Write the answer to a file, then: h2q duplicates apply plan.json --to FOLDER."""
    found = library.duplicates()
    if found is None:
        raise InvalidInputError("the duplicates are still being found; ask again later")
    chosen = [(id_of(each.keep), [id_of(key) for key in each.move]) for each in body.chosen]
    return chosen_plan(found, chosen).to_dict()


def _group(group: DuplicateGroup) -> GroupOut:
    return GroupOut(
        level=group.level, why=group.why, members=[_member(member) for member in group.members]
    )


def _member(member: Member) -> GroupOut.MemberOut:
    photo = member.photo
    return GroupOut.MemberOut(
        key=key_of(member.id),
        id=member.id,
        change=member.change,
        distance=member.distance,
        width=member.width,
        height=member.height,
        size=None if photo is None else photo.size,
        date=None if photo is None else photo.date,
        format=None if photo is None else photo.format,
        protected=member.protected,
        photo=photo is not None,
    )
