"""The formats of files, by name and by suffix."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from h2q._foreign import naming, reading
from h2q._paths import as_path, path_text
from h2q._typing import StrPath
from h2q.errors import FormatError, H2QError, InvalidInputError
from h2q.rowfiles.rows import Hints, Kind, RowFile, held_in_memory, reason_of
from h2q.rowfiles.storage import file_size, is_url, on_this_machine
from h2q.rowfiles.stream import CodeStream, stream_of_file


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
    holds : str
        "codes", or "both": embeddings too.
    beside : tuple of str
        Suffixes of files beside it, which a library that reads paths needs with it; None where
        the reader opens what it needs itself, also in a store.
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
    holds: str = "codes"
    beside: tuple[str, ...] | None = None

    @property
    def writer(self) -> Callable[..., None]:
        """``write(stream, path, **options)``."""
        function: Callable[..., None] = getattr(self._load(), self.write_name)
        return function

    def open(self, url: str, hints: Hints) -> RowFile:
        """Open a file or an object of a store for reading."""
        read, what = getattr(self._load(), self.read_name), f"a file of {self.name}"
        if self.beside is None:
            with reading(url, what), naming(url):
                opened: RowFile = read(url, hints)
            return opened.guarded(what)
        with on_this_machine(url, *self.beside) as path, reading(url, what), naming(url):
            opened = read(path, hints).guarded(what)
            # A copy goes when this block ends: what is read later is read now.
            return opened if not is_url(url) else held_in_memory(opened, url)

    def options(self) -> list[str]:
        """Names of the options of `writer`."""
        parameters = inspect.signature(self.writer).parameters.values()
        return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]

    def _load(self) -> Any:
        return importlib.import_module(f"h2q.rowfiles.{self.module}")


_BESIDE: Final = "ids, payloads, n_bits (beside it)"
_WITH: Final = (".json", ".items.jsonl")
FORMATS: Final = {
    each.name: each
    for each in (
        Format("parquet", (".parquet",), "pyarrow, pandas, ...", "msb", "nothing", True,
               "parquet", "write_parquet", "read_parquet", "both"),
        Format("arrow", (".arrow", ".feather"), "pyarrow, pandas, ...", "msb", "nothing", True,
               "parquet", "write_arrow", "read_arrow", "both"),
        Format("npz", (".npz",), "numpy", "msb", "payloads (beside it)", False, "npz",
               holds="both"),
        Format("npy", (".npy",), "numpy, sentence-transformers (ubinary)", "msb", _BESIDE, True,
               "npy", holds="both"),
        Format("u8bin", (".u8bin",), "big-ann-benchmarks, DiskANN", "msb", _BESIDE, True,
               "bigann", "write_u8bin", "read_u8bin"),
        Format("fbin", (".fbin",), "big-ann-benchmarks, DiskANN", "none: signs, a float32 a bit",
               "ids, payloads (beside it)", True, "bigann", "write_fbin", "read_fbin", "both"),
        Format("faiss", (".faiss",), "faiss, IndexBinary*", "msb",
               "payloads, text ids, n_bits not by 8 (beside it)", False, "faiss_binary",
               beside=_WITH),
        Format("faiss-lsh", (".lsh.faiss",), "faiss, LinearTransform + IndexLSH", "lsb",
               "payloads, text ids (beside it)", False, "faiss_lsh", beside=_WITH),
        Format("usearch", (".usearch",), "usearch, b1", "msb", "payloads, text ids (beside it)",
               False, "usearch_index", beside=_WITH),
        Format("ann-benchmarks", (".hdf5", ".h5"), "ann-benchmarks, h5py",
               "none: booleans", "payloads (lost); queries held out are not in it", False,
               "ann_benchmarks", holds="both", beside=()),
        Format("pgvector", (".csv",), "PostgreSQL COPY, bit(n)", "msb", "nothing", True,
               "pgvector_bits"),
    )
}  # fmt: skip
#: Suffixes of files of rows, the ones that are meant first.
SUFFIXES: Final = tuple(suffix for each in FORMATS.values() for suffix in each.suffixes)


def get_format(name: str) -> Format:
    """Return a format by name.

    Raises
    ------
    InvalidInputError
        For another name, with the nearest one.
    """
    if not isinstance(name, str):
        raise InvalidInputError(f"a format is named by a text such as 'npz', got {name!r:.80}")
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
    lower = as_path(path).name.lower()
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
    try:
        chosen.writer(stream, as_path(path), **options)
    except RuntimeError as error:  # how faiss, usearch and HDF5 say that a disk is full
        raise H2QError(
            f"{path}: could not be written by {chosen.library} ({reason_of(error)}); is "
            "the disk full, or the folder read-only?"
        ) from error
    return Path(path)


def held_out(path: StrPath, format: Format, given: int) -> int:
    """Codes of those given that a file just written holds as queries, and not as its rows."""
    return given - read_codes(path, format.name).count if format.name == "ann-benchmarks" else 0


def open_rows(
    url: StrPath,
    format: str | None = None,
    *,
    n_bits: int | None = None,
    bit_order: str | None = None,
    key: str | None = None,
    kind: Kind | None = None,
) -> RowFile:
    """Open a file of embeddings or codes, ours or another program's, here or in a store.

    Parameters
    ----------
    url : path or URL
    format : str, optional
        One of `FORMATS`; by default by the suffix.
    n_bits : int, optional
        Length of codes, where neither the file nor one beside it says it.
    bit_order : {"msb", "lsb"}, optional
        Of codes of a foreign file of bytes; "msb" by default.
    key : str, optional
        Array or column that holds embeddings, where several could.
    kind : {"embeddings", "codes"}, optional
        What it is read as, where it could be either; by default what the file says it is.

    Raises
    ------
    FormatError
        If the file is missing, truncated, of something else, or contradicts what is said of it.
    InvalidInputError
        If it holds the other kind, or an option does not apply to it.
    """
    name = path_text(url)
    chosen = format_of(name, format)
    if file_size(name) is None:
        raise FormatError(f"{name}: there is no such file")
    if kind == "embeddings" and chosen.holds == "codes":
        raise InvalidInputError(f"{name} holds codes ({chosen.name}), and embeddings are needed")
    opened = chosen.open(name, Hints(n_bits, bit_order, key, kind))
    if opened.kind == "embeddings" and (n_bits is not None or bit_order is not None):
        raise InvalidInputError(f"{name} holds embeddings, which have no bits; leave --bits out")
    return opened


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
    path, format, n_bits, bit_order
        As in `open_rows`.

    Returns
    -------
    CodeStream
        Codes are MSB first.

    Raises
    ------
    FormatError
        If the file is missing, truncated, of something else, or contradicts what is said of it.
    """
    return stream_of_file(open_rows(path, format, n_bits=n_bits, bit_order=bit_order, kind="codes"))
