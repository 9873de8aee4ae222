"""Files on this machine or in an object store: found, read and written in the same way.

A plain path is read directly. Anything with ``://`` goes through fsspec, which finds its
credentials where the store's own tools do (environment, configuration files, instance roles).
"""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from h2q._files import made_folder, write_whole
from h2q._foreign import size_of
from h2q._lazy import require
from h2q.errors import FormatError, InvalidInputError

#: What stores call the thing that changes when a file does, the surest first.
_VERSIONS = ("ETag", "etag", "md5Hash", "checksum", "generation", "LastModified", "last_modified",
             "mtime", "created")  # fmt: skip


@dataclass(frozen=True)
class FoundFile:
    """A file as a listing shows it.

    Attributes
    ----------
    url : str
        Absolute path, or URL.
    name : str
        Path below what was searched, with forward slashes.
    size : int
        Bytes; -1 where the store does not say.
    version : str
        Changes when the file does: nanoseconds of the last change, an ETag, ...
    """

    url: str = field(repr=False)  # the driver needs it whole
    name: str
    size: int
    version: str


def is_url(source: str) -> bool:
    """Whether `source` names a store (``s3://...``, ``file:///...``) and not a plain path."""
    return "://" in source


def is_shared(source: str) -> bool:
    """Whether every node of a cluster sees `source` as the same place: any URL but ``file://``."""
    return is_url(source) and not source.startswith(("file://", "local://"))


def is_pattern(source: str) -> bool:
    """Whether `source` holds wildcards."""
    return any(sign in source for sign in "*?[")


def is_folder(source: str) -> bool:
    """Whether `source` is a folder, or a prefix with files below it."""
    if not is_url(source):
        return Path(source).is_dir()
    store, path = _store(source)
    return bool(_asked(source, store.isdir, path))


def is_one_file(source: str) -> bool:
    """Whether `source` is a file of this machine, and no folder, pattern or URL."""
    return not is_url(source) and Path(source).is_file()


def find_files(source: str, suffixes: Iterable[str]) -> list[FoundFile]:
    """List the files that `source` means, sorted by name.

    Parameters
    ----------
    source : str
        A file, a pattern (``shards/*.npy``), or a folder, read with all its subfolders. Below a
        folder hidden files (a leading dot) are left out.
    suffixes : iterable of str
        Lower case, with the dot: what is taken of a folder. A file named, or met by a pattern, is
        taken whatever its suffix.

    Raises
    ------
    InvalidInputError
        If there is no such file, or the store cannot be reached.
    """
    found = _find_remote(source) if is_url(source) else _find_local(source)
    if not is_pattern(source) and len(found) == 1 and found[0].name == "":
        return [FoundFile(found[0].url, _last(found[0].url), found[0].size, found[0].version)]
    wanted = frozenset(suffixes)
    if not is_pattern(source):
        found = [
            file
            for file in found
            if PurePosixPath(file.name).suffix.lower() in wanted
            and not any(part.startswith(".") for part in PurePosixPath(file.name).parts)
        ]
    if not found:
        if not is_url(source) and Path(source).is_dir():
            raise InvalidInputError(
                f"{source}: a folder with no file of {', '.join(sorted(wanted))}"
            )
        raise InvalidInputError(f"{source}: no such files; give a file, a folder or a pattern")
    return sorted(found, key=lambda file: PurePosixPath(file.name).parts)


def open_file(url: str) -> BinaryIO:
    """Open a file for reading; it can be searched to and fro, and must be closed."""
    try:
        if not is_url(url):
            size_of(Path(url))  # refuses a pipe, which would never end
            return Path(url).open("rb")
        store, path = _store(url)
        return cast(BinaryIO, _asked(url, lambda p: store.open(p, "rb"), path))
    except FileNotFoundError as error:
        raise FormatError(f"{url}: no such file") from error


def file_size(url: str) -> int | None:
    """Bytes of a file; None where there is none."""
    if not is_url(url):
        try:
            return Path(url).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
    store, path = _store(url)
    try:
        return int(_asked(url, store.info, path)["size"])
    except FileNotFoundError:
        return None


@contextmanager
def on_this_machine(url: str, *beside: str) -> Iterator[Path]:
    """Yield a path to a file for libraries that read paths; a store's is copied for the while.

    Parameters
    ----------
    url : str
    *beside : str
        Suffixes of files beside it that come along where they are.
    """
    if not is_url(url):
        yield Path(url)
        return
    store, path = _store(url)
    with tempfile.TemporaryDirectory(prefix="h2q-") as folder:
        copy = Path(folder) / _last(path)
        for suffix in ("", *beside):
            if suffix == "" or file_size(url + suffix) is not None:
                _asked(url, partial(store.get_file, lpath=f"{copy}{suffix}"), path + suffix)
        yield copy


def read_bytes(url: str) -> bytes:
    """Read a whole file."""
    with open_file(url) as file:
        return file.read()


def write_file(url: str, data: bytes) -> None:
    """Write a file whole or not at all; folders above it are made.

    Object stores show an object only when all of it has arrived.
    """
    if not is_url(url):
        with made_folder(Path(url).parent):
            write_whole(url, data)
        return
    store, path = _store(url)
    if not is_shared(url):
        write_file(path, data)
        return
    _asked(url, lambda p: store.pipe_file(p, data), path)


def remove_file(url: str) -> None:
    """Remove a file that may be gone already."""
    if not is_url(url):
        Path(url).unlink(missing_ok=True)
        return
    store, path = _store(url)
    if _asked(url, store.exists, path):
        _asked(url, store.rm_file, path)


def list_names(folder: str) -> set[str]:
    """Names of the files directly in a folder; none where there is no such folder."""
    if not is_url(folder):
        path = Path(folder)
        return {entry.name for entry in path.iterdir()} if path.is_dir() else set()
    store, where = _store(folder)
    store.invalidate_cache()
    try:
        return {_last(name) for name in _asked(folder, lambda p: store.ls(p, detail=False), where)}
    except FileNotFoundError:
        return set()


def join(folder: str, name: str) -> str:
    """Name a file in a folder."""
    return f"{folder.rstrip('/')}/{name}"


def _find_local(source: str) -> list[FoundFile]:
    path = Path(source).expanduser()
    if is_pattern(source):
        # Path.glob needs to be told where the fixed part of a pattern ends.
        paths = [Path(text) for text in glob.glob(str(path), recursive=True)]  # noqa: PTH207
        base = _fixed_part(str(path))
    elif path.is_dir():
        paths, base = list(path.rglob("*")), str(path)
    else:
        paths, base = ([path] if path.exists() else []), str(path)
    found = []
    for each in paths:
        if each.is_dir():
            continue
        name = each.relative_to(base).as_posix() if base != str(each) else ""
        url = str(each.absolute())
        try:
            status = each.stat()
        except OSError:  # a link that leads nowhere: whoever opens it says so
            found.append(FoundFile(url, name, -1, ""))
            continue
        found.append(FoundFile(url, name, status.st_size, str(status.st_mtime_ns)))
    return found


def _find_remote(source: str) -> list[FoundFile]:
    store, path = _store(source)
    store.invalidate_cache()
    if is_pattern(source):
        listed = _asked(source, lambda p: store.glob(p, detail=True), path)
        base = _fixed_part(path)
    else:
        listed = _asked(source, lambda p: store.find(p, detail=True), path)
        base = path
    found = []
    for each, facts in listed.items():
        if facts.get("type") == "directory":
            continue
        name = str(each).removeprefix(base).lstrip("/")
        url = str(store.unstrip_protocol(each))
        size = facts.get("size")
        found.append(FoundFile(url, name, -1 if size is None else int(size), _version(facts)))
    return found


def _fixed_part(pattern: str) -> str:
    """Return the folder above the first wildcard."""
    fixed = []
    for part in pattern.split("/")[:-1]:
        if is_pattern(part):
            break
        fixed.append(part)
    return "/".join(fixed) or ("/" if pattern.startswith("/") else ".")


def _version(facts: dict[str, Any]) -> str:
    return next((str(facts[key]) for key in _VERSIONS if facts.get(key) is not None), "")


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _store(url: str) -> tuple[Any, str]:
    fsspec = require("fsspec", "bulk")
    try:
        store, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InvalidInputError(
            f"{url}: {error}; fsspec needs the driver of this kind of store (s3fs, gcsfs, adlfs, "
            "aiohttp for http)"
        ) from error
    return store, str(path)


def _asked(url: str, question: Callable[[str], Any], path: str) -> Any:
    """Ask a store, whose drivers raise errors of many kinds for one that cannot be reached."""
    try:
        return question(path)
    except FileNotFoundError:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise InvalidInputError(
            f"{url}: the store cannot be used ({what}); check the address and the credentials"
        ) from error
