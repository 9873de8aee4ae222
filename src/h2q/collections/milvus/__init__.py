"""Collections on a Milvus server."""

from __future__ import annotations

from h2q.collections.milvus.opening import open_milvus

__all__ = ["open_milvus"]
