"""Bulk work: millions of photos or embeddings, by units, in this process or on a Ray cluster.

The driver lists the inputs and cuts them into numbered units; workers read, embed and code; the
driver alone writes, in the order of the units, and records each unit once it is durable. So a
killed worker, node or driver costs the units in flight, and nothing comes in twice.
"""

from h2q.bulk.files import PartsReport, bulk_embed, bulk_encode
from h2q.bulk.fitting import FitReport, fit_shards
from h2q.bulk.index import bulk_index_photos, bulk_index_rows
from h2q.bulk.shards import Shard, find_shards, read_shard

__all__ = [
    "FitReport",
    "PartsReport",
    "Shard",
    "bulk_embed",
    "bulk_encode",
    "bulk_index_photos",
    "bulk_index_rows",
    "find_shards",
    "fit_shards",
    "read_shard",
]
