"""Rooms that were renamed: their old names still import, with a warning, for one version."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Final

#: Where the content of an old module is now; a package also answers with what it exported.
_NOW: Final[dict[str, tuple[str, ...]]] = {
    "h2q.bulk": ("h2q.ingest", "h2q.rowfiles"),
    "h2q.indexing": ("h2q.ingest", "h2q.rowfiles"),
    "h2q.indexing.embeddings": ("h2q.rowfiles",),
    "h2q.indexing.encoder": ("h2q.ingest",),
    "h2q.indexing.files": ("h2q.ingest",),
    "h2q.indexing.folder": ("h2q.ingest",),
    "h2q.indexing.imports": ("h2q.ingest",),
    "h2q.indexing.rows": ("h2q.ingest",),
    "h2q.indexing.searching": ("h2q.searching",),
    "h2q.indexing.sheets": ("h2q.searching",),
    "h2q.reports": ("h2q.judging",),
    "h2q.reports.comparison": ("h2q.judging.quantizers", "h2q.quantization"),
    "h2q.interchange": ("h2q.rowfiles",),
    "h2q.interchange.ann_benchmarks": ("h2q.rowfiles.ann_benchmarks",),
    "h2q.interchange.milvus_bytes": ("h2q.rowfiles.milvus_bytes",),
    "h2q.interchange.pgvector_bits": ("h2q.rowfiles.pgvector_bits",),
    "h2q.interchange.sentence_transformers": ("h2q.rowfiles.sentence_transformers",),
}


def answer_for(old: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of an old module, which looks where its content is now."""

    def answer(name: str) -> Any:
        for now in () if name.startswith("__") else _NOW[old]:
            found = getattr(importlib.import_module(now), name, None)
            if found is not None:
                warnings.warn(
                    f"{old} is now {now}; the old name goes in the next version of h2q",
                    DeprecationWarning,
                    stacklevel=2,
                )
                return found
        raise AttributeError(
            f"module {old!r} has no attribute {name!r}; see {', '.join(_NOW[old])}"
        )

    return answer


class _OldModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of the old packages, which are no files any more."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _NOW:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        module.__getattr__ = answer_for(module.__name__)  # type: ignore[method-assign]


sys.meta_path.append(_OldModules())
