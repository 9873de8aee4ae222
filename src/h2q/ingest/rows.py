"""Embeddings or codes into a collection: files here and in stores, or what is in memory."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from h2q._addresses import without_secrets
from h2q._typing import StrPath
from h2q.codes import CodeFile
from h2q.collections.artifacts import fingerprint
from h2q.collections.base import Collection, Id
from h2q.errors import CompatibilityError, InvalidInputError
from h2q.ingest.journal import Journal
from h2q.ingest.photo_files import check_prefix
from h2q.ingest.report import IndexReport, OnProgress, no_progress
from h2q.ingest.storing import Repeats, check_bits, check_width, store, store_units
from h2q.ingest.units import Result, RowUnit, Unit, row_units
from h2q.ingest.workers import Task, code_rows
from h2q.rowfiles import CodeStream, Embeddings, Rows, Shard, find_shards
from h2q.rowfiles.ids import row_names
from h2q.rowfiles.labels import Labels, read_labels
from h2q.rowfiles.rows import Kind
from h2q.rowfiles.shards import check_split

_BATCH: Final = 10_000  # rows of memory coded and stored at a time


def index_rows(
    source: str | list[Shard],
    collection: Collection,
    *,
    journal: StrPath | None = None,
    quantizer: Any = None,
    key: str | None = None,
    split: str | None = None,
    prefix: str = "",
    ray: str | None = None,
    workers: int | None = None,
    unit_size: int | None = None,
    on_progress: OnProgress = no_progress,
) -> IndexReport:
    """Bring files of embeddings, or of codes, into a collection.

    Parameters
    ----------
    source : str, or list of Shard
        File, folder, pattern or URL, or what `h2q.rowfiles.find_shards` made of it.
    collection : Collection
        Rows without ids are called ``shard:row``; of a single file, ``row``.
    journal : path, optional
        Record of the units that are in the collection (`Journal`); a later call passes them over.
    quantizer : fitted quantizer, optional
        What codes embeddings; by default the collection's.
    key : str, optional
        Array or column that holds the rows.
    split : str, optional
        Only rows of this split, of files that know splits; all rows by default.
    prefix : str
        Goes before every id with a slash.
    ray, workers
        As in `do_units`.
    unit_size : int, optional
        Rows of a unit; 32 MiB of float32, at most 20,000, by default.
    on_progress : callable
        Told how many rows of how many are done.

    Returns
    -------
    IndexReport
        Of a unit that is passed over, all items count as unchanged.

    Raises
    ------
    InvalidInputError
        If there is no shard, shards differ, a row cannot be coded, or there is no quantizer.
    CompatibilityError
        If the codes are not as long as the collection's.
    FormatError
        If a shard is damaged.
    """
    check_prefix(prefix)
    shards = find_shards(source, key=key) if isinstance(source, str) else source
    check_split(shards, split)
    first = shards[0]
    task = _task(
        collection, quantizer, first.kind, first.n_bits, first.width, first.file.url, prefix, split
    )  # fmt: skip
    units = row_units(shards, unit_size)
    report, finished = IndexReport(), set[int]()
    book: Journal | None = None
    if journal is not None:
        coder = "" if task.quantizer is None else hashlib.sha256(task.quantizer).hexdigest()
        # A digest of a password would let it be guessed.
        name = hashlib.sha256(without_secrets(collection.uri).encode()).hexdigest()
        maker = {"collection": name, "n_bits": collection.n_bits, "quantizer": coder}
        book = Journal(journal, maker, task.prefix if split is None else f"{task.prefix}@{split}")
        finished = book.finished(units, collection)
        report.unchanged = sum(unit.size for unit in units if unit.number in finished)

    def record(unit: Unit, result: Result) -> None:
        if book is not None and isinstance(unit, RowUnit):
            book.add(unit, result.ids)

    return store_units(
        [unit for unit in units if unit.number not in finished],
        task, collection, report, ray=ray, workers=workers, on_progress=on_progress, stored=record,
    )  # fmt: skip


#: The name of before.
bulk_index_rows = index_rows


def index_embeddings(
    embeddings: Embeddings,
    collection: Collection,
    quantizer: Any = None,
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
    quantizer : fitted quantizer, optional
        The collection's by default.
    on_progress : callable
        Told how many rows of how many are done.
    """
    labels: Labels | None = None
    if embeddings.labels is not None:
        labels = read_labels(embeddings.labels, "the embeddings", names=embeddings.classes)
    whole = Rows(embeddings.rows, list(embeddings.ids), labels=labels)
    return _index_memory(
        _parts(whole), len(whole), whole.values.shape[1], collection, quantizer, "embeddings", None,
        on_progress,
    )  # fmt: skip


def index_codes(
    file: CodeFile, collection: Collection, *, on_progress: OnProgress = no_progress
) -> IndexReport:
    """Store codes read from a file under their ids; without ids, under "0", "1", ...

    Raises
    ------
    InvalidInputError
        If the collection keeps something of the real rows, which a file of codes has not.
    """
    ids = row_names(0, len(file.codes)) if file.ids is None else list[Id](file.ids)
    whole = Rows(file.codes, ids)
    return _index_memory(
        _parts(whole), len(whole), 0, collection, None, "codes", file.n_bits, on_progress
    )


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
    parts = (Rows(b.codes, b.ids, b.payloads) for b in stream.batches(_BATCH))
    return _index_memory(
        parts, stream.count, 0, collection, None, "codes", stream.n_bits, on_progress
    )  # fmt: skip


def _parts(rows: Rows) -> Iterable[Rows]:
    return (rows.take(slice(at, at + _BATCH)) for at in range(0, len(rows), _BATCH))


def _index_memory(
    parts: Iterable[Rows],
    total: int,
    width: int,
    collection: Collection,
    quantizer: Any,
    kind: Kind,
    n_bits: int | None,
    on_progress: OnProgress,
) -> IndexReport:
    what = "what is in memory"
    task = _task(collection, quantizer, kind, n_bits, width, what, "", None)
    coder = quantizer if quantizer is not None else collection.quantizer
    report, done, repeats = IndexReport(), 0, Repeats()
    for part in parts:
        result = code_rows(task, coder, part, kind)
        store(
            collection, report, result.ids, result.arrays["codes"], result.payloads,
            result.arrays.get("rows"), repeats,
        )  # fmt: skip
        report.skipped.extend(result.skipped)
        report.unlabelled += result.unlabelled
        done += len(part)
        on_progress(done, max(done, total))
    report.repeated = repeats.count()
    return report


def _task(
    collection: Collection,
    quantizer: Any,
    kind: Kind,
    n_bits: int | None,
    width: int,
    name: str,
    prefix: str,
    split: str | None,
) -> Task:
    """Say what is to be done with rows, or why it cannot be done."""
    kept = collection.quantizer
    given, quantizer = quantizer, kept if quantizer is None else quantizer
    if kind == "codes":
        check_bits(collection, n_bits, f"{name} holds")
        if collection.keep != "codes":
            raise InvalidInputError(
                f"the collection {collection.uri} keeps rows beside its codes, but {name} holds "
                "codes alone; index the embeddings"
            )
    elif quantizer is None:
        raise InvalidInputError(
            f"the collection {collection.uri} keeps no quantizer; give the one that made its codes "
            "(--quantizer)"
        )
    else:
        check_bits(collection, int(quantizer.n_bits_), "the quantizer makes")
        if given is not None and kept is not None:
            _check_same(collection, given)
        whose = "the quantizer" if given is not None else f"the quantizer of {collection.uri}"
        check_width(quantizer, width, name, whose)
    return Task(
        quantizer=None if kind == "codes" else quantizer.to_bytes(),
        want_rows=collection.keep != "codes",
        raw=collection.quantizer is not None,
        prefix=prefix.strip("/"),
        split=split,
    )


def _check_same(collection: Collection, given: Any) -> None:
    """Refuse to code rows by another quantizer than the collection's."""
    mark, kept = fingerprint(given.to_bytes()), collection.fingerprints["quantizer"]
    if mark != kept:
        raise CompatibilityError(
            f"{collection.uri}: the collection was made with the quantizer {kept[:12]}, the one "
            f"given is {mark[:12]} (SHA-256); leave it out, or make another collection for it"
        )


def default_journal(uri: str) -> Path:
    """Record of what is in a collection: beside its file, or, of a server's, in this folder."""
    if "://" not in uri:
        return Path(f"{uri}.units")
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", re.sub(r"//[^/@]*@", "//", without_secrets(uri)))
    return Path(f"{name}.units")
