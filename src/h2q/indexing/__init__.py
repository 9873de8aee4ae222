"""Bring photos, embeddings or codes into a collection, and keep it up to date.

`index_folder` compares a folder with a collection, reads what is new or changed, encodes it with a
model and stores it in durable batches; `index_embeddings` and `index_codes` store rows made
elsewhere. Importing this package imports no torch.
"""

from h2q.indexing.embeddings import Embeddings, load_embeddings, save_embeddings
from h2q.indexing.encoder import Encoder, PhotoEncoder, load_hasher, model_file
from h2q.indexing.files import photo_path
from h2q.indexing.folder import index_folder
from h2q.indexing.report import IndexReport, Skipped
from h2q.indexing.rows import index_codes, index_embeddings

__all__ = [
    "Embeddings",
    "Encoder",
    "IndexReport",
    "PhotoEncoder",
    "Skipped",
    "index_codes",
    "index_embeddings",
    "index_folder",
    "load_embeddings",
    "load_hasher",
    "model_file",
    "photo_path",
    "save_embeddings",
]
