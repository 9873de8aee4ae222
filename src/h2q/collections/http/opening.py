"""Open the collection that a server serves; refuse what does not fit it."""

from __future__ import annotations

from typing import Any, Final

from h2q.collections.artifacts import ArtifactFacts
from h2q.collections.http.address import parse_address
from h2q.collections.http.caller import Caller
from h2q.collections.http.collection import HttpCollection
from h2q.collections.index_spec import IndexSpec
from h2q.collections.request import Facts, OpenRequest
from h2q.errors import CollectionError, InvalidInputError
from h2q.ranks import check_keep

ENGINE: Final = "http"


def open_checked(uri: str, request: OpenRequest) -> HttpCollection:
    """Open what a server serves; see `h2q.open_collection`."""
    address = parse_address(uri)
    caller = Caller(address, request.timeout)
    try:
        facts = facts_of(caller.get("api/v1/info"), address.url)
        request.check_fit(
            address.url, n_bits=facts.n_bits, keep=facts.keep, artifacts=facts.artifacts
        )
        request.reopened_index(ENGINE, address.url, facts.index)
        if request.learner is not None and "quantizer" not in facts.artifacts:
            raise InvalidInputError(
                f"{address.url}: the collection has no quantizer, and the server fits its own on "
                "the first rows; leave quantizer out, or make the collection with it where it is"
            )
    except BaseException:
        caller.close()
        raise
    return HttpCollection(address.url, request.mode, facts, request.learner, caller=caller)


def facts_of(info: Any, where: str) -> Facts:
    """Return what a server states of its collection.

    Raises
    ------
    CollectionError
        If it states nothing that is understood.
    """
    try:
        return Facts(
            engine=ENGINE,
            format_version=int(info["format_version"]),
            n_bits=int(info["n_bits"]),
            keep=check_keep(info["keep"]),
            index=IndexSpec(info["index"]),
            artifacts={
                str(name): ArtifactFacts(str(mark), "")
                for name, mark in info["fingerprints"].items()
            },
            created_by=str(info["created_by"]),
            bit_order=str(info["bit_order"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CollectionError(
            f"{where}: the server is of another version of h2q ({error}); "
            "use the same on both sides"
        ) from error
