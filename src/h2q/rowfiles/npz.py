"""h2q's own file of codes, `.npz`: codes, ids, n_bits and bit order in one file."""

from __future__ import annotations

from pathlib import Path

from h2q.codes import load_codes, save_codes
from h2q.errors import FormatError
from h2q.rowfiles.matrix import Hints
from h2q.rowfiles.stream import CodeStream, stream_of_codes


def write(stream: CodeStream, path: Path) -> None:
    """Write codes and ids; mixed ids are an error, payloads are left out."""
    everything = stream.gather()
    save_codes(path, everything.codes, stream.n_bits, everything.ids)  # type: ignore[arg-type]


def read(path: Path, hints: Hints) -> CodeStream:
    """Read codes and ids."""
    found = load_codes(path)
    if hints.n_bits not in (None, found.n_bits):
        raise FormatError(f"{path}: holds codes of {found.n_bits} bits, not {hints.n_bits}")
    return stream_of_codes(found.codes, found.n_bits, found.ids)
