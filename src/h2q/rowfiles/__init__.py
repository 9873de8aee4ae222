"""Files of rows: embeddings, and codes; here and in object stores, ours and other libraries'.

`load_embeddings` and `save_embeddings` take a file of real rows; `find_shards` and `read_shard`
take many, by ranges of rows. `write_codes` and `read_codes` know the formats of files of codes
(`FORMATS`); a `CodeStream` is what goes through them. What is no file has functions of its own:
`h2q.rowfiles.milvus_bytes`, `h2q.rowfiles.pgvector_bits`, `h2q.rowfiles.sentence_transformers`.

Importing this package imports no other library; a format imports its own when it is used.
"""

from h2q.rowfiles.bits import reverse_bits
from h2q.rowfiles.embeddings import Embeddings, load_embeddings, save_embeddings
from h2q.rowfiles.registry import (
    FORMATS,
    Format,
    format_of,
    open_rows,
    read_codes,
    write_codes,
)
from h2q.rowfiles.rows import RowFile, Rows
from h2q.rowfiles.shards import Shard, find_shards, read_shard
from h2q.rowfiles.stream import CodeStream, stream_of_codes, stream_of_collection

__all__ = [
    "FORMATS",
    "CodeStream",
    "Embeddings",
    "Format",
    "RowFile",
    "Rows",
    "Shard",
    "find_shards",
    "format_of",
    "load_embeddings",
    "open_rows",
    "read_codes",
    "read_shard",
    "reverse_bits",
    "save_embeddings",
    "stream_of_codes",
    "stream_of_collection",
    "write_codes",
]
