"""Bring photos, embeddings or codes into a collection, and keep it up to date.

`ingest` is the one way in: it sees whether a source holds photos, embeddings or codes, and whether
it lies here or in a store. Below it, `index_photos` and `index_folder` compare a folder with a
collection and encode what is new or changed; `index_rows`, `index_embeddings` and `index_codes`
store rows made elsewhere.

Millions of photos or rows go by units, in this process or on a Ray cluster: the driver lists the
inputs and cuts them into numbered units; workers read, embed and code; the driver alone writes, in
the order of the units, and records each unit once it is durable. So a killed worker, node or driver
costs the units in flight, and nothing comes in twice. Importing this package imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from h2q._lazy import lazy_names

if TYPE_CHECKING:
    from h2q.ingest.anything import ingest
    from h2q.ingest.by_units import bulk_index_photos
    from h2q.ingest.encoder import CodedEncoder, Encoder, PhotoEncoder, load_hasher, model_file
    from h2q.ingest.fitting import FitReport, fit_decoder_to_shards, fit_shards
    from h2q.ingest.folder import index_folder
    from h2q.ingest.photo_files import photo_path
    from h2q.ingest.photos import index_photos
    from h2q.ingest.report import IndexReport, Skipped
    from h2q.ingest.rows import (
        bulk_index_rows,
        import_codes,
        index_codes,
        index_embeddings,
        index_rows,
    )
    from h2q.ingest.to_files import PartsReport, bulk_embed, bulk_encode, encode_file

__all__ = [
    "CodedEncoder",
    "Encoder",
    "FitReport",
    "IndexReport",
    "PartsReport",
    "PhotoEncoder",
    "Skipped",
    "bulk_embed",
    "bulk_encode",
    "bulk_index_photos",
    "bulk_index_rows",
    "encode_file",
    "fit_decoder_to_shards",
    "fit_shards",
    "import_codes",
    "index_codes",
    "index_embeddings",
    "index_folder",
    "index_photos",
    "index_rows",
    "ingest",
    "load_hasher",
    "model_file",
    "photo_path",
]

# A search by photo needs few of these, and an import of all takes longer than the search.
__getattr__ = lazy_names(
    __name__,
    {
        "anything": ["ingest"],
        "by_units": ["bulk_index_photos"],
        "encoder": ["CodedEncoder", "Encoder", "PhotoEncoder", "load_hasher", "model_file"],
        "fitting": ["FitReport", "fit_decoder_to_shards", "fit_shards"],
        "folder": ["index_folder"],
        "photo_files": ["photo_path"],
        "report": ["IndexReport", "Skipped"],
        "rows": [
            "bulk_index_rows",
            "import_codes",
            "index_codes",
            "index_embeddings",
            "index_rows",
        ],
        "to_files": ["PartsReport", "bulk_embed", "bulk_encode", "encode_file"],
        "photos": ["index_photos"],
    },
)
