"""Malformed images and bodies against a real server: ``python -m tests.serving.hostile``.

    python -m tests.serving.hostile --requests 10000

Photos are mutants of good ones of six formats; bodies are mutants of a good one for each route;
some requests are broken as HTTP. Any status of 500 or more, a closed connection, memory or open
files that grow are faults; the server must answer a good search as before in the end.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import quote, urlsplit

import httpx
import numpy as np
from PIL import Image

from h2q.ingest.photos import index_photos
from tests.encoders.tiny_onnx import pair
from tests.fuzz.mutations import in_json, in_png, in_text, mutated
from tests.serving.process import Server, served

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
N_BITS = 32
SCHEMATHESIS = Path(sys.executable).with_name("st")


def collection_of(folder: Path) -> Path:
    """Make photos, a pair of networks, and a collection of them."""
    photos = folder / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for i in range(80):
        pixels = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((40, 30)).save(photos / f"{i:02d}.png")
    network = pair(folder / "net", columns=48)
    uri = folder / "served.h2q"
    index_photos(photos, str(uri), encoder=f"onnx:{network}", n_bits=N_BITS)
    return uri


def good_photos() -> list[bytes]:
    pixels = np.random.default_rng(3).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((48, 36))
    found = []
    for kind in _FORMATS:
        file = io.BytesIO()
        image.save(file, kind)
        found.append(file.getvalue())
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112], exif[0x9003] = 6, "2012:05:01 10:00:00"
    image.save(file, "JPEG", exif=exif)
    return [*found, file.getvalue()]


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds a little."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checked = name + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(100_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def good_bodies() -> dict[str, dict[str, object]]:
    """A good body for each route that takes one."""
    code = base64.b64encode(bytes(N_BITS // 8)).decode()
    row = base64.b64encode(np.ones((1, N_BITS), "<f4").tobytes()).decode()
    array = {"dtype": "float32", "shape": [1, N_BITS], "data": row}
    where = {"size": {"$gte": 3}, "label": {"$in": ["a", 1]}}
    return {
        "search": {
            "queries": [{"key": "s:01.png"}, {"code": code}], "without": [{"text": "red"}],
            "k": 5, "where": where, "rank": "hamming", "distinct": 2, "overview": True,
        },
        "batch": {"queries": array, "k": 3, "where": where, "rank": "asymmetric", "payloads": True},
        "items": {"ids": ["x", 3], "codes": base64.b64encode(bytes(N_BITS // 4)).decode(),
                  "payloads": [{"label": "a", "n": 1}, None],
                  "upload": {"token": "0123456789abcdef", "part": 0, "last": True}},
        "items/get": {"ids": ["01.png", 7]},
        "items/delete": {"ids": ["nothing", 12345]},
        "items/remove": {"keys": ["s:nothing", "i:5"]},
        "items/count": {"where": where},
        "items/at": {"places": [0, 5, 3], "stamp": None},
        "facets": {"where": where},
        "map/mask": {"where": where},
        "scan": {"where": where, "batch_size": 50},
        "duplicates/plan": {"chosen": [{"keep": "s:01.png", "move": ["s:02.png"]}]},
        "session": {"key": "not a key"},
    }  # fmt: skip


@dataclass
class Attack:
    """Sends hostile requests and keeps what went wrong."""

    server: Server
    rng: Random
    client: httpx.Client
    photos: list[bytes] = field(default_factory=good_photos)
    bodies: dict[str, bytes] = field(
        default_factory=lambda: {name: json.dumps(b).encode() for name, b in good_bodies().items()}
    )
    faults: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def send(self) -> None:
        """Send one request of any kind."""
        self.rng.choices((self.photo, self.body, self.address, self.broken), (45, 40, 10, 5))[0]()

    def photo(self) -> None:
        """Send a mutant of a photo to where photos are taken."""
        data = self.rng.choice(self.photos)
        if self.rng.random() < 0.02:
            data = bomb(self.rng.choice((1, 60_000, 2**31 - 1)), self.rng.choice((1, 2**20)))
        else:
            data = mutated(data, self.rng, in_png if data.startswith(b"\x89PNG") else None)
        kind = self.rng.choice(("image/png", "image/jpeg", "application/json", "text/html", "é"))
        where = self.rng.choice(("queries", "queries", "items/photo?id=a", "items/photo?payload={"))
        self._post(where, data, kind)

    def body(self) -> None:
        """Send a mutant of a good body."""
        name = self.rng.choice(list(self.bodies))
        inside = self.rng.choice((in_json, in_json, in_text))
        data = mutated(self.bodies[name], self.rng, inside)
        kind = "application/json" if self.rng.random() < 0.95 else "application/xml"
        self._post(name, data, kind)

    def address(self) -> None:
        """Ask for what is not there, by odd names."""
        odd = self.rng.choice((
            "../../etc/passwd", "s:../../etc/passwd", "i:9999999999999999999999", "s:" + "a" * 3000,
            "s:\0", "i:", "s:%00", "%2e%2e/%2e%2e", "i:-0", "s:\ud7ff", "i:1e3", "s:01.png/..", "",
            "i:٣", "s:<img src=x onerror=alert(1)>", "C:\\windows", "s:01.png",
        ))  # fmt: skip
        stem = self.rng.choice((
            "items/", "thumbnails/", "photos/", "queries/", "artifacts/", "map/colours?facet=",
            "map?method=", "items?where=", "items?offset=", "items?limit=", "duplicates?limit=",
        ))  # fmt: skip
        method = self.rng.choice(("GET", "GET", "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "FOO"))
        self._send(method, f"api/v1/{stem}{quote(odd, safe='/:%.')}")

    def broken(self) -> None:
        """Send what is hardly HTTP; the server may close, and no more."""
        length = self.rng.choice(("-1", "1e3", "99999999999", "5", "abc", "0x10", "5, 6"))
        good = "HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        head = self.rng.choice((
            f"POST /api/v1/search {good}content-length: {length}\r\n\r\n{{}}",
            f"POST /api/v1/queries {good}transfer-encoding: chunked\r\n\r\nzz",
            "GET /api/v1/info HTTP/1.1\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\x00",
            "GET /" + "a" * 80_000 + " HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
            "GET / HTTP/1.1\r\n" + "x: y\r\n" * 5000 + "\r\n",
            "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: evil.example\r\n\r\n",
            "GET http://evil.example/ HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\nhost: \xff\r\n\r\n",
        ))  # fmt: skip
        data = head.encode("latin-1")
        if self.rng.random() < 0.5:
            data = mutated(data, self.rng, None)
        parts = urlsplit(self.server.url)
        with socket.create_connection((str(parts.hostname), parts.port or 80), timeout=10) as link:
            link.settimeout(0.05)
            try:
                link.sendall(data)
                answer = link.recv(4096)
            except (TimeoutError, ConnectionError):  # it waits for more, or has hung up
                return
        if answer.startswith(b"HTTP/1.1 5"):
            self.faults.append(f"{data[:200]!r}: {answer[:300]!r}")

    def _post(self, name: str, data: bytes, kind: str) -> None:
        self._send("POST", f"api/v1/{name}", data, kind)

    def _send(self, method: str, path: str, data: bytes = b"", kind: str = "") -> None:
        headers = {"content-type": kind.encode()} if kind else {}
        try:
            answer = self.client.request(
                method, self.server.url + path, content=data, headers=headers
            )
        except httpx.HTTPError as error:
            self.faults.append(f"{method} {path} {data[:300]!r}: {error!r}")
            return
        self.statuses[answer.status_code] += 1
        if answer.status_code >= 500:
            self.faults.append(f"{method} {path} {data[:300]!r}: {answer.text[:300]}")


@dataclass(frozen=True)
class Told:
    """What came of it."""

    faults: list[str]
    statuses: Counter[int]
    resident: list[int]
    handles: list[int]


def attack(
    server: Server,
    requests: int,
    seed: int,
    warm: int = 0,
    on_part: Callable[[str], object] = lambda text: None,
) -> Told:
    """Send so many requests after `warm` ones; look at memory and handles ten times."""
    with httpx.Client(timeout=60) as client:
        attack = Attack(server, Random(seed), client)  # noqa: S311
        good = {"queries": [{"key": "s:01.png"}], "k": 5}

        def found() -> object:
            hits = client.post(server.url + "api/v1/search", json=good).json()["items"]
            return [hit["distance"] for hit in hits]

        before = found()
        for _ in range(warm):
            attack.send()
        resident, handles = [server.resident], [server.handles]
        for part in _parts(requests, 10):
            for _ in range(part):
                attack.send()
            resident.append(server.resident)
            handles.append(server.handles)
            on_part(f"{sum(attack.statuses.values()):,} answers, {resident[-1] / 1e6:.1f} MB, "
                    f"{handles[-1]} handles, {len(attack.faults)} faults")  # fmt: skip
        assert server.process.poll() is None, server.said
        # The rest of the collection is what it was.
        if len(found()) != len(before):
            attack.faults.append("a good search finds something else now")
    return Told(attack.faults, attack.statuses, resident, handles)


def described(server: Server, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Try what the OpenAPI description allows, and what it does not, by schemathesis."""
    checks = (
        "not_a_server_error", "status_code_conformance", "content_type_conformance",
        "response_schema_conformance",
    )  # fmt: skip
    settings = (
        "--seed", "1", "--generation-deterministic", "--no-shrink", "--warnings", "off",
        "--no-color", "--suppress-health-check", "all", "--checks", ",".join(checks),
    )  # fmt: skip
    return subprocess.run(
        [SCHEMATHESIS, "run", f"{server.url}openapi.json", *settings, *options],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip


def _parts(n: int, parts: int) -> Iterator[int]:
    for i in range(parts):
        yield n * (i + 1) // parts - n * i // parts


def main() -> int:
    """Run, and print what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--examples", type=int, default=0, help="of each route, by schemathesis, besides"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        uri = collection_of(Path(folder))
        began = time.monotonic()
        with served(uri) as server:
            told = attack(
                server, options.requests, options.seed, 1000, lambda text: print(text, flush=True)
            )
            if options.examples:
                phases = ("--phases", "coverage,fuzzing,stateful")
                examples = ("--max-examples", str(options.examples))
                run = described(server, Path(folder), *phases, *examples)
                print(run.stdout[-2500:])
                told.faults.extend(["schemathesis"] if run.returncode else [])
            print(f"{time.monotonic() - began:.0f} s; answers by status: {dict(told.statuses)}")
    for fault in told.faults[:20]:
        print(f"FAULT {fault[:600]}")
    grown = told.resident[-1] - told.resident[0]
    print(f"memory grew by {grown / 1e6:.1f} MB, handles by {told.handles[-1] - told.handles[0]}")
    return 1 if told.faults else 0


if __name__ == "__main__":
    sys.exit(main())
