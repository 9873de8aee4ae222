"""Index embeddings or codes that were made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from h2q.codes import CodeFile
from h2q.collections.base import Collection, Id
from h2q.errors import CompatibilityError
from h2q.ingest.report import IndexReport, OnProgress, no_progress
from h2q.rowfiles.embeddings import Embeddings

_BATCH = 10_000  # rows coded and stored at a time


def index_embeddings(
    embeddings: Embeddings,
    collection: Collection,
    quantizer: Any,
    *,
    on_progress: OnProgress = no_progress,
) -> IndexReport:
    """Code embeddings and store them under their ids; held ids are replaced.

    Names of classes, where known, are stored as the payload's `label` (one class) or `labels`
    (several).

    Parameters
    ----------
    embeddings : Embeddings
    collection : Collection
    quantizer : fitted quantizer of `h2q.quantization`
    on_progress : callable
        Told how many rows of how many are done.
    """
    _check_bits(collection, int(quantizer.n_bits_), "the quantizer makes")
    report, total = IndexReport(), len(embeddings.rows)
    for start in range(0, total, _BATCH):
        rows = slice(start, start + _BATCH)
        codes = quantizer.transform(embeddings.rows[rows])
        kept = None
        if collection.keep != "codes":  # rotated by the collection, where it has the quantizer
            kept = np.asarray(embeddings.rows[rows], dtype=np.float32)
            kept = kept if collection.quantizer is not None else quantizer.rotate(kept)
        payloads = [_payload(embeddings, place) for place in range(start, start + len(codes))]
        _store(collection, embeddings.ids[rows], codes, payloads, report, kept)
        on_progress(start + len(codes), total)
    return report


def index_codes(
    file: CodeFile, collection: Collection, *, on_progress: OnProgress = no_progress
) -> IndexReport:
    """Store codes read from a file under their ids; without ids, under "0", "1", ...

    Raises
    ------
    InvalidInputError
        If the collection keeps something of the real rows, which a file of codes has not.
    """
    _check_bits(collection, file.n_bits, "the file holds")
    report, total = IndexReport(), len(file.codes)
    ids: Sequence[Id] = file.ids if file.ids is not None else [str(i) for i in range(total)]
    for start in range(0, total, _BATCH):
        rows = slice(start, start + _BATCH)
        _store(collection, ids[rows], file.codes[rows], None, report)
        on_progress(min(start + _BATCH, total), total)
    return report


def _store(
    collection: Collection,
    ids: Sequence[Id],
    codes: Any,
    payloads: Any,
    report: IndexReport,
    embeddings: Any = None,
) -> None:
    held = sum(item is not None for item in collection.get(ids))
    collection.add(ids, codes, payloads, embeddings=embeddings)
    report.updated += held
    report.added += len(ids) - held


def _payload(embeddings: Embeddings, place: int) -> dict[str, Any] | None:
    labels, classes = embeddings.labels, embeddings.classes
    if labels is None:
        return None
    if labels.ndim == 1:
        label = int(labels[place])
        return {"label": classes[label] if classes is not None else label}
    found = [int(c) for c in labels[place].nonzero()[0]]
    return {"labels": [classes[c] for c in found] if classes is not None else found}


def _check_bits(collection: Collection, n_bits: int, what: str) -> None:
    if n_bits != collection.n_bits:
        raise CompatibilityError(
            f"{what} codes of {n_bits} bits, the collection {collection.uri} holds codes of "
            f"{collection.n_bits}"
        )
