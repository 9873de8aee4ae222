"""What the verbs that take many files have in common."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from h2q.cli import _console
from h2q.cli._skipped import end, list_skipped
from h2q.errors import InvalidInputError

if TYPE_CHECKING:
    from h2q.collections import Keep
    from h2q.ingest import PartsReport
    from h2q.ingest.report import IndexReport


def is_bulk(source: str, ray: str | None = None, *, photos: bool = False) -> bool:
    """Whether the work goes by units: many files, a store, or a cluster."""
    from h2q.rowfiles.storage import is_pattern, is_url

    if ray is not None or is_url(source):
        return True
    path = Path(source)
    if photos or (path.is_file() and path.suffix.lower() != ".parquet"):
        return False
    return path.exists() or is_pattern(source)


def print_parts(report: PartsReport, what: str, *, json: bool) -> None:
    """Print what was written, and end with the code for skipped inputs if there are any."""
    list_skipped(report.skipped)
    if json:
        shown: dict[str, Any] = {
            "manifest": report.manifest,
            "rows": report.rows,
            "parts": report.parts,
            "kept": report.kept,
            "skipped": [{"path": each.path, "reason": each.reason} for each in report.skipped],
        }
        _console.print_json(shown)
    else:
        before = f", {report.kept} of them there before" if report.kept else ""
        _console.out().print(
            f"{report.rows:,} {what} in {report.parts} parts{before} -> {report.manifest}",
            markup=False,
        )
    end(report.skipped)


def is_bulk_index(source: str, ray: str | None) -> bool:
    """Whether `index` goes by units: as `is_bulk`, but a plain local folder holds photos."""
    if ray is None and Path(source).is_dir():
        return _is_parts(source)
    return is_bulk(source, ray)


def index_bulk(
    source: str,
    uri: str,
    *,
    model: Path | None,
    quantizer: Path | None,
    keep: Keep | None,
    prefix: str,
    key: str | None,
    journal: Path | None,
    ray: str | None,
    workers: int | None,
    **photos: Any,
) -> IndexReport:
    """Bring photos or shards into a collection by units; which of the two, the source says."""
    shared: dict[str, Any] = {"prefix": prefix, "ray": ray, "workers": workers}
    if model is None and (quantizer is not None or _holds_rows(source)):
        return _index_rows(source, uri, quantizer, keep, key, journal, shared)
    if quantizer is not None:
        raise InvalidInputError("--quantizer is for embeddings, --model for photos; give one")
    return _index_photos(source, uri, model, keep, {**shared, **photos})


def _index_photos(
    source: str, uri: str, model: Path | None, keep: Keep | None, options: dict[str, Any]
) -> IndexReport:
    from h2q.images import image_suffixes
    from h2q.ingest import bulk_index_photos
    from h2q.ingest.models import collection_and_encoder, exists
    from h2q.rowfiles.storage import find_files

    if model is None and not exists(uri):
        raise InvalidInputError(f"there is no collection {uri} yet; give --model to make it")
    # Before a collection is made: a mistyped folder should leave nothing behind.
    find_files(source, image_suffixes())
    with collection_and_encoder(uri, model=model, device="cpu", keep=keep) as (collection, _):
        data = collection.model_bytes()
        if data is None:  # collection_and_encoder has looked
            raise InvalidInputError(f"the collection {collection.uri} keeps no model; give --model")
        with _console.progress("indexing") as advance:
            return bulk_index_photos(source, collection, data, on_progress=advance, **options)


def _index_rows(
    source: str,
    uri: str,
    quantizer: Path | None,
    keep: Keep | None,
    key: str | None,
    journal: Path | None,
    options: dict[str, Any],
) -> IndexReport:
    from h2q.collections import open_collection
    from h2q.ingest import bulk_index_rows
    from h2q.ingest.quantizers import load_quantizer
    from h2q.rowfiles import find_shards

    first = find_shards(source, key=key)[0]
    made_with: dict[str, Any] = {}
    if quantizer is not None:
        made_with["quantizer"] = load_quantizer(quantizer)
    if first.n_bits is not None:
        made_with["n_bits"] = first.n_bits
    with (
        open_collection(uri, keep=keep, **made_with) as collection,
        _console.progress("indexing") as advance,
    ):
        return bulk_index_rows(
            source,
            collection,
            journal=default_journal(uri) if journal is None else journal,
            key=key,
            on_progress=advance,
            **options,
        )


def default_journal(uri: str) -> Path:
    """Record of what is in a collection: beside its file, or, of a server's, in this folder."""
    if "://" not in uri:
        return Path(f"{uri}.units")
    # Without the password that an address may hold.
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", re.sub(r"//[^/@]*@", "//", uri))
    return Path(f"{name}.units")


def _holds_rows(source: str) -> bool:
    from h2q.rowfiles.shards import SUFFIXES
    from h2q.rowfiles.storage import find_files, is_folder

    if is_folder(source):
        return any(file.name.endswith(SUFFIXES) for file in find_files(source, _any_suffix()))
    return source.lower().endswith(SUFFIXES)


def _any_suffix() -> frozenset[str]:
    from h2q.images import image_suffixes
    from h2q.rowfiles.shards import SUFFIXES

    return image_suffixes() | frozenset(SUFFIXES)


def _is_parts(folder: str) -> bool:
    from h2q.rowfiles.shards import MANIFEST

    return (Path(folder) / MANIFEST).is_file()
