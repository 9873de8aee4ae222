"""Indexes of other libraries, read in a process of their own.

faiss and usearch believe what an index says of itself: a damaged one may end the process, or ask
for all the memory there is. So another process, which may use what the size of the file justifies,
reads it and hands over the numbers and the codes.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from h2q._foreign import reading, size_of
from h2q._typing import CodeArray
from h2q.errors import FormatError, H2QError

#: What Python and the libraries need themselves, and what the index may, by its size.
_BASE_BYTES: Final = 2 << 30
_BYTES_A_BYTE: Final = 8
_BASE_SECONDS, _BYTES_A_SECOND = 120, 2 << 20
_LONGEST_LINE: Final = 1 << 16


class Index(NamedTuple):
    """What an index holds: `numbers` (n,), `codes` (n, width) uint8, and their length in bits."""

    numbers: NDArray[Any]
    codes: CodeArray
    n_bits: int


def read_index(path: Path, module: str, what: str) -> Index:
    """Read an index.

    Parameters
    ----------
    path : path
    module : str
        Of `h2q.rowfiles`: its function `contents(path)` reads the index, in the other process.
    what : str
        What it should be, for errors.

    Raises
    ------
    FormatError
        If it is none, or damaged.
    """
    size = size_of(path)
    seconds = _BASE_SECONDS + size // _BYTES_A_SECOND
    command = [sys.executable, "-m", "h2q.rowfiles.index_process", module, str(path)]
    # What this process imports from, the other does, too.
    places = os.pathsep.join(each for each in sys.path if each)
    environment = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(  # noqa: S603 (this Python, this package)
        [*command, str(size), str(seconds)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        with cast(IO[bytes], child.stdout) as out, reading(path, what):
            line = out.readline(_LONGEST_LINE)
            if line:
                return _take(line, out, path, size)
        code = child.wait()
    finally:
        child.kill()
        child.wait()
    ended = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    raise FormatError(f"{path}: damaged or not {what}: its library ended the process ({ended})")


def _take(line: bytes, out: IO[bytes], path: Path, size: int) -> Index:
    facts = json.loads(line)
    if "error" in facts:
        raise FormatError(str(facts["error"]))
    count, width, kind = int(facts["count"]), int(facts["width"]), str(facts["numbers"])
    # No more than the file can hold: whoever made it may speak for the other process.
    if kind not in ("<i8", "<u8") or not 0 <= count * (width + 8) <= _BYTES_A_BYTE * size + 1024:
        raise FormatError(f"{path}: {count:,} codes of {width:,} bytes in {size:,} bytes")
    numbers = np.frombuffer(_read(out, count * 8, path), kind)
    codes = np.frombuffer(_read(out, count * width, path), np.uint8).reshape(count, width)
    return Index(numbers, codes, int(facts["n_bits"]))


def _read(out: IO[bytes], size: int, path: Path) -> bytes:
    data = out.read(size)
    if len(data) != size:
        raise FormatError(f"{path}: damaged: its library ended the process that read it")
    return data


def _main(module: str, name: str, size: int, seconds: int) -> None:
    """Read in this process, and write the result to the standard output."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library's own words do not come between
    _limit(resource.RLIMIT_AS, _BASE_BYTES + _BYTES_A_BYTE * size)
    _limit(resource.RLIMIT_CPU, seconds)
    _limit(resource.RLIMIT_CORE, 0)
    path = Path(name)
    try:
        with reading(path, "an index"):
            found = importlib.import_module(f"h2q.rowfiles.{module}").contents(path)
    except (H2QError, OSError) as error:
        out.write(json.dumps({"error": str(error)[: _LONGEST_LINE // 8]}).encode() + b"\n")
        out.close()
        return
    kind = "<u8" if found.numbers.dtype.kind == "u" else "<i8"
    count, width = found.codes.shape
    facts = {"n_bits": int(found.n_bits), "count": count, "width": width, "numbers": kind}
    out.write(json.dumps(facts).encode() + b"\n")
    out.write(np.ascontiguousarray(found.numbers, dtype=kind).data)
    out.write(np.ascontiguousarray(found.codes, dtype=np.uint8).data)
    out.close()


def _limit(what: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    value = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (value, hard))


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
