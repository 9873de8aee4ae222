"""Codes from another library's file into a collection."""

from __future__ import annotations

from h2q.collections.base import Collection
from h2q.errors import CompatibilityError
from h2q.ingest.report import IndexReport, OnProgress, no_progress
from h2q.rowfiles import CodeStream

_BATCH = 10_000


def import_codes(
    stream: CodeStream, collection: Collection, *, on_progress: OnProgress = no_progress
) -> IndexReport:
    """Store codes under their ids, with their payloads; held ids are replaced.

    Each batch is durable when the next begins, so an interrupted import keeps what is done, and
    repeating it replaces the same items.

    Parameters
    ----------
    stream : CodeStream
        Of `h2q.rowfiles.read_codes`.
    collection : Collection
    on_progress : callable
        Told how many items of how many are done.

    Raises
    ------
    CompatibilityError
        If the collection holds codes of another length.
    """
    if stream.n_bits != collection.n_bits:
        raise CompatibilityError(
            f"the file holds codes of {stream.n_bits} bits, the collection {collection.uri} holds "
            f"codes of {collection.n_bits}"
        )
    report = IndexReport()
    for batch in stream.with_progress(on_progress).batches(_BATCH):
        held = sum(item is not None for item in collection.get(batch.ids))
        collection.add(batch.ids, batch.codes, batch.payloads)
        report.updated += held
        report.added += len(batch.ids) - held
    return report
