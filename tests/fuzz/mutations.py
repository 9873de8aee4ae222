# ruff: noqa: S608 (the SQL is ours, and hostile on purpose)
"""What is done to a good file: blind changes of its bytes, and changes that keep its container.

Blind changes seldom get past a checksum or a length, so every kind of file that has one is also
taken apart, changed inside and put together again.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sqlite3
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

Mutator = Callable[[bytes, Random], bytes]

_NUMBERS = (
    0, 1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 255, 256, 65535, 65536, 10**5, 2**31 - 1, 2**31,
    2**32 - 1, 2**32, 10**11, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -1, -2, -(2**31), -(2**63),
)  # fmt: skip
_DEEP = 3000
#: Text that JSON, YAML, CSV and lists of words stumble over.
_TOKENS = (
    "", " ", "0", "-1", "1e999", "nan", "NaN", "Infinity", "-Infinity", "null", "None", "true",
    "~", "'", '"', "\x00", "\ufeff", "\ud7ff", "\r", "\n", "\t", ",", ";", "|", ":", "[", "{", "}",
    "]", "&a", "*a", "<<: *a", "!!python/object/apply:os.system [true]", "!!binary x", "!!set {}",
    "0x7fffffffffffffff", "1_0", "1:2:3:4", "2001-01-01", "2001-99-99", "99999999999",
    "9" * 5000, "[" * _DEEP, '{"a":' * _DEEP, "../../etc/passwd", "/dev/zero", "/dev/stdin",
    "a" * 70000, "\u202e", "😀", "%s%n", "-0", "+1", "1.5", "0" * 400,
)  # fmt: skip


def mutated(data: bytes, rng: Random, inside: Mutator | None) -> bytes:
    """Return `data` after one change or a few; half of them by `inside`, which knows the kind."""
    for _ in range(1 + min(int(rng.expovariate(0.9)), 6)):
        if inside is not None and rng.random() < 0.6:
            # Where an earlier change made it unreadable it goes on blindly.
            with contextlib.suppress(Exception):
                data = inside(data, rng)
                continue
        data = blind(data, rng)
    return data


def blind(data: bytes, rng: Random) -> bytes:
    """Change some bytes; the beginning and the end, where headers are, more often."""
    size = len(data)
    if size == 0:
        return rng.randbytes(rng.choice((1, 8, 100)))
    at = rng.choice((
        rng.randrange(size), rng.randrange(min(size, 64)), rng.randrange(min(size, 512)),
        size - 1 - rng.randrange(min(size, 512)),
    ))  # fmt: skip
    changed = bytearray(data)
    match rng.randrange(9):
        case 0:
            changed[at] ^= 1 << rng.randrange(8)
        case 1:
            changed[at] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        case 2 | 3:
            width = rng.choice((2, 4, 8))
            value = rng.choice(_NUMBERS) % 256**width
            changed[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))
        case 4:
            del changed[at:]
        case 5:
            del changed[at : at + rng.choice((1, 2, 4, 8, 64, 1024))]
        case 6:
            changed[at:at] = rng.choice(
                (b"\0", b"\xff" * 8, rng.randbytes(rng.randrange(1, 64)), bytes(data[:at][-256:]))
            )
        case 7:
            other = rng.randrange(size)
            length = rng.randrange(1, min(size, 256) + 1)
            changed[at : at + length] = data[other : other + length]
        case 8:
            length = rng.randrange(1, min(size - at, 64) + 1)
            changed[at : at + length] = rng.randbytes(length)
    return bytes(changed)


def in_text(data: bytes, rng: Random) -> bytes:
    """Replace, repeat or drop a word or a line."""
    parts = re.split(rb"([\s,:;=\[\]{}\"']+)", data)
    at = rng.randrange(len(parts))
    match rng.randrange(5):
        case 0 | 1:
            parts[at] = rng.choice(_TOKENS).encode("utf-8", "surrogatepass")
        case 2:
            parts[at] = str(rng.choice(_NUMBERS)).encode()
        case 3:
            del parts[at]
        case 4:
            parts[at:at] = parts[: rng.randrange(len(parts)) + 1][-20:]
    return b"".join(parts)


def in_json(data: bytes, rng: Random) -> bytes:
    """Change one place of a JSON document."""
    document = json.loads(data)
    places = list(_places(document, ()))
    raw: list[str] = []
    path = rng.choice(places)
    value = _odd_value(rng, raw, document, places)
    if not path:
        document = value
    else:
        holder = _at(document, path[:-1])
        match rng.randrange(6):
            case 0 if isinstance(holder, dict):
                holder[rng.choice(("", "a", "__class__", "format", "id"))] = holder.pop(path[-1])
            case 1:
                del holder[path[-1]]
            case 2 if isinstance(holder, list):
                holder.insert(0, value)
            case _:
                holder[path[-1]] = value
    text = json.dumps(document)
    for number, piece in enumerate(raw):
        text = text.replace(f'"@raw{number}@"', piece)
    return text.encode()


def in_json_lines(data: bytes, rng: Random) -> bytes:
    """Change one line of a file of JSON lines, or their order."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    if rng.random() < 0.2:
        lines.insert(at, rng.choice(lines))
    else:
        lines[at] = in_json(lines[at], rng)
    return b"\n".join(lines)


def in_safetensors(data: bytes, rng: Random) -> bytes:
    """Change the header of a safetensors file, or the JSON texts within it."""
    length = int.from_bytes(data[:8], "little")
    header, rest = data[8 : 8 + length], data[8 + length :]
    document = json.loads(header)
    inner = [k for k, v in document.get("__metadata__", {}).items() if v.startswith("{")]
    if inner and rng.random() < 0.7:
        key = rng.choice(inner)
        changed = in_json(document["__metadata__"][key].encode(), rng)
        document["__metadata__"][key] = changed.decode("utf-8", "surrogatepass")
        header = json.dumps(document).encode()
    else:
        header = in_json(header, rng)
    return len(header).to_bytes(8, "little") + header + rest


def in_npy(data: bytes, rng: Random) -> bytes:
    """Change what the header of a `.npy` file says."""
    length = int.from_bytes(data[8:10], "little")
    text, rest = data[10 : 10 + length].decode("latin1"), data[10 + length :]
    number = str(rng.choice(_NUMBERS))
    match rng.randrange(6):
        case 0:
            text = re.sub(r"\(.*?\)", f"({number},)", text)
        case 1:
            text = re.sub(r"\(.*?\)", f"({number}, {rng.choice(_NUMBERS)})", text)
        case 2:
            kinds = ("|u1", "<f8", "<f2", "|O", "<U0", "|V0", "<U99999999", "<i8", ">f4", "|b1",
                     "<c8", "<M8[ns]", "|S5", "<f16", "x", ",".join("i" * 99))  # fmt: skip
            text = re.sub(r"'descr': '.*?'", f"'descr': '{rng.choice(kinds)}'", text)
        case 3:
            text = text.replace("False", rng.choice(("True", "None", "0", "__import__('os')")))
        case 4:
            text = in_text(text.encode("latin1"), rng).decode("latin1", "replace")
        case 5:
            fields = "[('a', '<i8'), ('b', '|O')]" if rng.random() < 0.5 else "[('a', '<i8')]"
            text = re.sub(r"'descr': '.*?'", f"'descr': {fields}", text)
    encoded = text.encode("latin1", "replace")
    return data[:8] + (len(encoded) % 65536).to_bytes(2, "little") + encoded + rest


def in_npz(data: bytes, rng: Random) -> bytes:
    """Change a member of an archive, and store it with the checksum it then has."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    at = rng.randrange(len(members))
    name, content = members[at]
    match rng.randrange(8):
        case 0:
            del members[at]
        case 1:
            members[at] = (rng.choice(("", "codes.npy", "x", "../x.npy", "a/b.npy")), content)
        case 2:
            members[at] = (name, rng.choice(members)[1])
        case 3:
            members.append((name, content))
        case 4:
            members[at] = (name, blind(content, rng))
        case _:
            members[at] = (name, in_npy(content, rng))
    out = io.BytesIO()
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(out, "w", rng.choice(kinds)) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=rng.choice(kinds))
    changed = out.getvalue()
    return blind(changed, rng) if rng.random() < 0.2 else changed


def in_png(data: bytes, rng: Random) -> bytes:
    """Change a chunk of a PNG, with the checksum it then has."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    number = rng.randrange(len(chunks))
    kind, body = chunks[number]
    match rng.randrange(5):
        case 0:
            chunks[number] = (kind, blind(body, rng))
        case 1:
            bomb = zlib.compress(b"a" * rng.choice((10**4, 10**7)))
            extra = rng.choice((b"zTXt", b"iCCP", b"iTXt", b"eXIf", b"acTL"))
            chunks.insert(1, (extra, b"k\0\0" + bomb))
        case 2:
            chunks.insert(number, chunks[rng.randrange(len(chunks))])
        case 3:
            del chunks[number]
        case 4:
            size = struct.pack(">II", *rng.choices((0, 1, 8, 10**5, 2**31 - 1, 2**32 - 1), k=2))
            chunks[0] = (b"IHDR", size + chunks[0][1][8:])
    out = data[:8]
    for kind, body in chunks:
        out += struct.pack(">I", len(body)) + kind + body
        out += struct.pack(">I", zlib.crc32(kind + body))
    return out


def in_sqlite(data: bytes, rng: Random) -> bytes:
    """Change rows, tables or the schema's text, by SQLite itself."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x")
        path.write_bytes(data)
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
            _change_database(connection, rng)
        finally:
            connection.close()
        return path.read_bytes()


_VALUES = (
    "NULL", "0", "-1", "1e400", "9223372036854775807", "-9223372036854775808", "99999999999", "''",
    "'x'", "x'00'", "x'ff80'", "zeroblob(70000)", "0.5", "CAST(x'ff' AS TEXT)", "'{'", "'[1]'",
    "'{\"a\":' || printf('%.*c', 3000, '[')", "printf('%.*c', 5000, '9')", "'64'", "'65536'",
    "'99999999999'", "'msb'", "'lsb'", "'row'", "'embedding'",
)  # fmt: skip
_ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"


def _change_database(connection: sqlite3.Connection, rng: Random) -> None:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    tables = [name for (name,) in found if not name.startswith("sqlite_")]
    table = rng.choice(tables)
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    column, value = rng.choice(columns), rng.choice(_VALUES)
    some = rng.choice(("1", "rowid % 2" if table not in ("meta", "artifacts") else "1"))
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    listed = ", ".join(columns)
    match rng.randrange(12):
        case 0 | 1 | 2 | 3:
            connection.execute(f"UPDATE OR IGNORE {table} SET {column} = {value} WHERE {some}")
        case 4:
            # Lets any value in, whatever the column was declared as.
            connection.execute(
                "UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE name = ?",
                (table,),
            )
            connection.execute(f"UPDATE OR IGNORE {table} SET {column} = {value} WHERE {some}")
        case 5:
            connection.execute(f"DELETE FROM {table} WHERE {some}")
        case 6:
            connection.execute(f"DROP TABLE {table}")
        case 7:
            fields = ", ".join(f"x AS {name}" for name in columns)
            connection.execute(f"DROP TABLE {table}")
            connection.execute(f"CREATE VIEW {table} AS {_ENDLESS} SELECT {fields} FROM c")
        case 8:
            connection.execute(
                f"CREATE TRIGGER evil AFTER INSERT ON {table} BEGIN "
                f"DELETE FROM items; UPDATE state SET last_row = 10; END"
            )
        case 9:
            connection.execute(f"ALTER TABLE {table} RENAME TO other")
            connection.execute(f"CREATE VIEW {table} AS SELECT {listed} FROM other")
        case 10:
            text = rng.choice(("sql", "type", "name", "tbl_name", "rootpage"))
            connection.execute(
                f"UPDATE sqlite_master SET {text} = {rng.choice(_VALUES)} WHERE name = ?", (table,)
            )
        case 11:
            connection.execute(f"PRAGMA user_version = {rng.choice((0, 1, 2, 3, -1))}")


def _odd_value(rng: Random, raw: list[str], document: Any, places: Sequence[Any]) -> Any:
    def literally(text: str) -> str:
        raw.append(text)
        return f"@raw{len(raw) - 1}@"

    return rng.choice(
        (
            None, True, rng.choice(_NUMBERS), rng.choice(_NUMBERS), rng.choice(_TOKENS), 0.5, 1e308,
            [], {}, [[]], {"a": 1}, "x" * 1000, literally("[" * _DEEP + "]" * _DEEP),
            literally("9" * 5000), literally("NaN"), literally("1e999"), literally('"\\ud800"'),
            _at(document, rng.choice(places)),
        )
    )  # fmt: skip


def _places(node: Any, path: tuple[Any, ...]) -> Any:
    yield path
    if isinstance(node, dict):
        for key in node:
            yield from _places(node[key], (*path, key))
    elif isinstance(node, list):
        for number, each in enumerate(node):
            yield from _places(each, (*path, number))


def _at(document: Any, path: Sequence[Any]) -> Any:
    for key in path:
        document = document[key]
    return document
