"""Codes to and from the files and arrays of other libraries.

`write_codes` and `read_codes` know the formats of files (`FORMATS`); a `CodeStream` is what goes
through them. What is no file has functions of its own: `h2q.interchange.milvus_bytes`,
`h2q.interchange.pgvector_bits`, `h2q.interchange.sentence_transformers`.

Importing this package imports no other library; a format imports its own when it is used.
"""

from h2q.interchange.bits import reverse_bits
from h2q.interchange.registry import FORMATS, Format, format_of, read_codes, write_codes
from h2q.interchange.stream import CodeStream, stream_of_codes, stream_of_collection

__all__ = [
    "FORMATS",
    "CodeStream",
    "Format",
    "format_of",
    "read_codes",
    "reverse_bits",
    "stream_of_codes",
    "stream_of_collection",
    "write_codes",
]
