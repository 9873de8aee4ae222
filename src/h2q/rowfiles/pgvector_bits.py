r"""pgvector: a code as `bit(n)`, whose text is '0101...', bit 0 first (so MSB first, as ours).

The file is CSV with a header, for ``\copy items (id, code, payload) FROM 'codes.csv' CSV HEADER``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from h2q._lazy import require
from h2q._typing import Array, CodeArray
from h2q.codes import BIT_ORDER, code_width, pack, unpack
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles.ids import IdKind, id_kind, ids_as_column, ids_from_column
from h2q.rowfiles.ranged import Ranged
from h2q.rowfiles.rows import Hints, RowFile, Rows, check_stated, refuse_key
from h2q.rowfiles.sidecar import Sidecar, read_sidecar, written_with_sidecar
from h2q.rowfiles.storage import open_file
from h2q.rowfiles.stream import CodeStream

_KIND: Final = "pgvector"
_LONGEST_FIELD: Final = 1 << 27  # a payload; csv's own limit is 128 KiB


def bit_texts(codes: Array, n_bits: int) -> list[str]:
    """Return codes as PostgreSQL writes `bit(n)`.

    Examples
    --------
    >>> bit_texts(np.array([[0b10100000]], np.uint8), 3)
    ['101']
    """
    ascii_digits = unpack(codes, n_bits) + np.uint8(ord("0"))
    return [row.tobytes().decode("ascii") for row in ascii_digits]


def codes_from_texts(texts: Sequence[str], n_bits: int) -> CodeArray:
    """Return packed codes of texts such as "0101".

    Raises
    ------
    InvalidInputError
        If a text is not `n_bits` of 0 and 1.
    """
    for text in texts:
        if len(text) != n_bits or text.strip("01"):
            raise InvalidInputError(f"{text!r:.80} is not a bit({n_bits})")
    flat = np.frombuffer("".join(texts).encode("ascii"), dtype=np.uint8)
    codes: CodeArray = pack((flat == ord("1")).reshape(len(texts), n_bits))
    return codes


def bits(codes: Array, n_bits: int) -> list[Any]:
    """Return codes as `pgvector.Bit`, which psycopg sends once `pgvector.psycopg` is registered."""
    pgvector = require("pgvector", "interchange")
    return [pgvector.Bit(row.astype(bool)) for row in unpack(codes, n_bits)]


def codes_from_bits(values: Sequence[Any]) -> CodeArray:
    """Return packed codes of `pgvector.Bit`, or of a `bit(n)` as psycopg gives it.

    Parameters
    ----------
    values : sequence of Bit, str (psycopg's text mode) or bytes (its binary mode)
        At least one, all of one length.
    """
    texts = [each if isinstance(each, str) else _bit(each).to_text() for each in values]
    if not texts:
        raise InvalidInputError("no bits were given, so their length is unknown")
    return codes_from_texts(texts, len(texts[0]))


def _bit(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    return require("pgvector", "interchange").Bit.from_binary(value)


def write(stream: CodeStream, path: Path) -> None:
    """Write CSV: id, code as text, payload as JSON; the items are gone through twice."""
    kind: IdKind | None = None
    for batch in stream.batches():
        kind = id_kind(batch.ids, kind)
    kind, count = kind or "str", 0
    with written_with_sidecar(path) as (file, describe):
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(["id", "code", "payload"])
        for batch in stream.batches():
            ids = ids_as_column(batch.ids, kind)
            payloads = ["" if p is None else json.dumps(p) for p in batch.payloads]
            texts = bit_texts(batch.codes, stream.n_bits)
            lines.writerows(zip(ids, texts, payloads, strict=True))
            count += len(ids)
        text.flush()
        text.detach()
        describe(Sidecar(_KIND, stream.n_bits, BIT_ORDER, count, 0, items=False, id_kind=kind))


def read(name: str, hints: Hints) -> RowFile:
    """Open CSV with a column `code` of 0 and 1, and `id` and `payload` where it has them.

    Ids are text unless the file beside it says that they are numbers.
    """
    refuse_key(hints, name, "a CSV file of codes")
    if hints.kind == "embeddings":
        raise InvalidInputError(f"{name} holds codes, and embeddings are needed")
    sidecar = read_sidecar(name, _KIND)
    kind: IdKind = sidecar.id_kind if sidecar else "str"  # type: ignore[assignment]
    count, n_bits = 0, sidecar.n_bits if sidecar else hints.n_bits
    for line in _lines(name):
        count += 1
        n_bits = n_bits or len(line["code"])
    if n_bits is None:
        raise FormatError(f"{name}: has no codes, so their length is unknown; give n_bits (--bits)")
    check_stated(name, hints, n_bits=n_bits, bit_order="none")
    length, lines = n_bits, Ranged(lambda: _lines(name))

    def rows(start: int, stop: int) -> Rows:
        part = lines.take(start, stop)
        try:
            codes = codes_from_texts([line["code"] for line in part], length)
            payloads = [_payload(line.get("payload")) for line in part]
        except ValueError as error:
            raise FormatError(f"{name}: {error}") from error
        ids = None
        if part and "id" in part[0]:
            ids = ids_from_column([line["id"] for line in part], kind, name)
        return Rows(codes, ids, payloads)

    return RowFile(name, "codes", count, code_width(n_bits), n_bits, rows)


def _lines(name: str) -> Iterator[dict[str, str]]:
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
    try:
        # A spreadsheet begins the file with a byte order mark.
        with (
            open_file(name) as raw,
            io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file,
        ):
            lines = csv.DictReader(file)
            columns = lines.fieldnames or []
            if "code" not in columns:
                raise FormatError(f"{name}: not CSV with a column 'code' of 0 and 1")
            for line in lines:
                if any(line.get(column) is None for column in columns):
                    raise FormatError(
                        f"{name}: line {lines.line_num} has fewer columns; it is truncated"
                    )
                yield line
    except (csv.Error, UnicodeDecodeError) as error:
        raise FormatError(f"{name}: not CSV, or damaged ({error})") from error


def _payload(text: str | None) -> dict[str, Any] | None:
    found = json.loads(text) if text else None
    if not isinstance(found, dict | None):
        raise ValueError(f"a payload is not a JSON object: {text!r:.80}")
    return found
