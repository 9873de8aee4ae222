"""What the page looks around with: facets, statistics, the map."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from h2q.collections.http.wire import text_of_bytes
from h2q.serving.mapping import Method
from h2q.serving.routes._shared import PROBLEMS, Served
from h2q.serving.schemas import (
    ColoursOut,
    FacetOut,
    FacetsOut,
    InfoOut,
    MapOut,
    MaskOut,
    StatsOut,
    WhereIn,
)

router = APIRouter(prefix="/api/v1", tags=["browse"], responses=PROBLEMS)


@router.get("/info", summary="About the collection: size, bits, ranks.")
def info(library: Served) -> InfoOut:
    """No password of its address is shown."""
    return library.info()


@router.get("/stats", summary="What the codes look like: balance, entropy, distances.")
def stats(library: Served) -> StatsOut:
    """Of all codes; the distances of pairs are those of a sample."""
    return library.stats()


@router.post("/facets", summary="What can be filtered by, with counts.")
def facets(library: Served, body: WhereIn) -> FacetsOut:
    """Count the items that meet the condition."""
    catalog = library.catalog()
    mask = catalog.mask(library.collection, body.where)
    return FacetsOut(
        total=int(mask.sum()),
        facets=[
            FacetOut(
                key=facet.key,
                values=[
                    FacetOut.Value(text=v.text, count=v.count, where=dict(v.where))
                    for v in facet.values
                ],
            )
            for facet in catalog.facets.counted(mask)
        ],
    )


@router.get("/map", summary="Where the items lie on a map.")
def places(library: Served, method: Method = "pca") -> MapOut:
    """By PCA at once; by t-SNE in the background: ask again until it is ready."""
    catalog, found = library.map(method)
    return MapOut(
        method=method,
        ready=found is not None,
        stamp=catalog.stamp,
        count=len(catalog),
        places=None if found is None else text_of_bytes(found.astype("<f4").tobytes()),
    )


@router.post("/map/mask", summary="Which items of the map meet a condition.")
def mask(library: Served, body: WhereIn) -> MaskOut:
    """In the order of adding."""
    catalog = library.catalog()
    found = catalog.mask(library.collection, body.where)
    return MaskOut(stamp=catalog.stamp, mask=text_of_bytes(found.astype("u1").tobytes()))


@router.get("/map/colours", summary="The value of a facet for each item of the map.")
def colours(library: Served, facet: Annotated[str, Query(max_length=200)]) -> ColoursOut:
    """In the order of adding."""
    catalog = library.catalog()
    values, numbers = catalog.facets.numbered(facet, len(catalog))
    return ColoursOut(values=values, numbers=text_of_bytes(numbers.astype("<i4").tobytes()))
