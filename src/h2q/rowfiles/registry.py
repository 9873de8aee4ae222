"""The formats of files, by name and by suffix."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from h2q._typing import StrPath
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles.matrix import Hints
from h2q.rowfiles.stream import CodeStream


@dataclass(frozen=True)
class Format:
    """A format of files that hold codes.

    Attributes
    ----------
    name : str
    suffixes : tuple of str
        Of file names; the first format with a suffix is meant by it.
    library : str
        What else reads and writes it.
    bit_order : str
        Of the bytes in the file.
    loses : str
        What is not in the file itself.
    streams : bool
        Whether codes are written without all being in memory.
    module, write_name, read_name : str
        Where the functions are; imported when they are used.
    """

    name: str
    suffixes: tuple[str, ...]
    library: str
    bit_order: str
    loses: str
    streams: bool
    module: str
    write_name: str = "write"
    read_name: str = "read"

    @property
    def writer(self) -> Callable[..., None]:
        """``write(stream, path, **options)``."""
        function: Callable[..., None] = getattr(self._load(), self.write_name)
        return function

    @property
    def reader(self) -> Callable[[Path, Hints], CodeStream]:
        """``read(path, hints)``."""
        function: Callable[[Path, Hints], CodeStream] = getattr(self._load(), self.read_name)
        return function

    def options(self) -> list[str]:
        """Names of the options of `writer`."""
        parameters = inspect.signature(self.writer).parameters.values()
        return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]

    def _load(self) -> Any:
        return importlib.import_module(f"h2q.rowfiles.{self.module}")


_BESIDE: Final = "ids, payloads, n_bits (beside it)"
FORMATS: Final = {
    each.name: each
    for each in (
        Format("parquet", (".parquet",), "pyarrow, pandas, ...", "msb", "nothing", True,
               "parquet", "write_parquet", "read_parquet"),
        Format("arrow", (".arrow", ".feather"), "pyarrow, pandas, ...", "msb", "nothing", True,
               "parquet", "write_arrow", "read_arrow"),
        Format("npz", (".npz",), "numpy", "msb", "payloads", False, "npz"),
        Format("npy", (".npy",), "numpy, sentence-transformers (ubinary)", "msb", _BESIDE, True,
               "npy"),
        Format("u8bin", (".u8bin",), "big-ann-benchmarks, DiskANN", "msb", _BESIDE, True,
               "bigann", "write_u8bin", "read_u8bin"),
        Format("fbin", (".fbin",), "big-ann-benchmarks, DiskANN", "none: signs, a float32 a bit",
               "ids, payloads (beside it)", True, "bigann", "write_fbin", "read_fbin"),
        Format("faiss", (".faiss",), "faiss, IndexBinary*", "msb",
               "payloads, text ids, n_bits not by 8 (beside it)", False, "faiss_binary"),
        Format("faiss-lsh", (".lsh.faiss",), "faiss, LinearTransform + IndexLSH", "lsb",
               "payloads, text ids (beside it)", False, "faiss_lsh"),
        Format("usearch", (".usearch",), "usearch, b1", "msb", "payloads, text ids (beside it)",
               False, "usearch_index"),
        Format("ann-benchmarks", (".hdf5", ".h5"), "ann-benchmarks, h5py",
               "none: booleans", "payloads; queries held out are not in it", False,
               "ann_benchmarks"),
        Format("pgvector", (".csv",), "PostgreSQL COPY, bit(n)", "msb", "nothing", True,
               "pgvector_bits"),
    )
}  # fmt: skip


def get_format(name: str) -> Format:
    """Return a format by name.

    Raises
    ------
    InvalidInputError
        For another name, with the nearest one.
    """
    if name in FORMATS:
        return FORMATS[name]
    near = difflib.get_close_matches(name, FORMATS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InvalidInputError(f"unknown format {name!r}; one of {', '.join(FORMATS)}{hint}")


def format_of(path: StrPath, name: str | None = None) -> Format:
    """Return the format by name, or by the suffix of the file.

    Raises
    ------
    InvalidInputError
        If neither tells.
    """
    if name is not None:
        return get_format(name)
    lower = Path(path).name.lower()
    found = [
        (len(suffix), each)
        for each in FORMATS.values()
        for suffix in each.suffixes
        if lower.endswith(suffix)
    ]
    if not found:
        raise InvalidInputError(
            f"{path}: the suffix tells no format; give one of {', '.join(FORMATS)} (--format)"
        )
    return max(found, key=lambda pair: pair[0])[1]


def write_codes(
    stream: CodeStream, path: StrPath, format: str | None = None, **options: Any
) -> Path:
    """Write codes to a file another library reads; whole or not at all.

    Parameters
    ----------
    stream : CodeStream
        `stream_of_collection` or `stream_of_codes`.
    path : path
    format : str, optional
        One of `FORMATS`; by default by the suffix.
    **options
        Of the format (`FORMATS[name].options()`).

    Raises
    ------
    InvalidInputError
        If the format is unknown or takes no such option.
    MissingExtraError
        If its library is not installed.
    """
    chosen = format_of(path, format)
    unknown = sorted(options.keys() - set(chosen.options()))
    if unknown:
        raise InvalidInputError(
            f"the format {chosen.name} takes no option {unknown[0]!r}; it takes "
            f"{', '.join(chosen.options()) or 'none'}"
        )
    chosen.writer(stream, Path(path), **options)
    return Path(path)


def read_codes(
    path: StrPath,
    format: str | None = None,
    *,
    n_bits: int | None = None,
    bit_order: str | None = None,
) -> CodeStream:
    """Open a file of codes, our own export or another's.

    Parameters
    ----------
    path : path
    format : str, optional
        One of `FORMATS`; by default by the suffix.
    n_bits : int, optional
        Needed where neither the file nor one beside it says it.
    bit_order : {"msb", "lsb"}, optional
        For a foreign file of bytes; "msb" by default.

    Returns
    -------
    CodeStream
        Codes are MSB first.

    Raises
    ------
    FormatError
        If the file is missing, truncated, of something else, or contradicts what is said of it.
    """
    chosen, where = format_of(path, format), Path(path)
    if not where.is_file():
        raise FormatError(f"{where}: there is no such file")
    return chosen.reader(where, Hints(n_bits, bit_order))
