"""A served collection under load, beside the library and the encoder it serves.

    python bench/serving.py --photos caltech101 --collection photos.h2q
    python bench/serving.py --n 1000000

Needs `wrk` (of Debian). Starts `h2q serve` on a copy of the collection, or on random codes, and
prints, of rounds measured in turns in one run:

- p50, p99 and throughput of searches by code and by id, by one connection, as ratios to
  `Collection.search` of the same codes in this process (`--k` neighbours each);
- the same with everything that the page asks for (the histogram of distances, places);
- of photos nobody has asked about, as ratios to reading, preparing and embedding them here;
- all of it with a writer of 1,000 items a second beside it, over that without;
- the searches that two connections do in the time in which one does so many; with `--servers`,
  also those of two servers over the one file, a connection each.

A photo is searched with in two requests: it is given once (`photo`), its token then (`token`).
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

import h2q
from h2q.collections.http.wire import key_of
from h2q.images import read_image
from h2q.ingest.models import kept_encoder

_WRITE, _RATE = 50, 1000
_LUA = """
local kind, bodies, n, stem = os.getenv("KIND"), {}, 0, os.getenv("STEM")
if kind == "application/json" then
  for line in io.lines(os.getenv("BODIES")) do bodies[#bodies + 1] = line end
else
  for path in io.lines(os.getenv("BODIES")) do
    local file = io.open(path, "rb"); bodies[#bodies + 1] = file:read("*a"); file:close()
  end
end
function request()
  n = n + 1
  local body = bodies[n % #bodies + 1]
  -- Bytes after its end change nothing of a JPEG but its digest: each is a new photo.
  if kind ~= "application/json" then body = body .. stem .. n end
  return wrk.format("POST", nil, {["content-type"] = kind}, body)
end
function done(summary, latency, requests)
  local e = summary.errors
  local failed, rate = e.status + e.read + e.connect + e.timeout, summary.requests * 1e6
  io.write(string.format("\\nMEASURED %f %f %f %d\\n", latency:percentile(50),
    latency:percentile(99), rate / summary.duration, failed))
end
"""


@dataclass(frozen=True)
class Measured:
    """Seconds of calls, and calls a second."""

    p50: float
    p99: float
    rate: float


@dataclass(frozen=True)
class Load:
    """Requests to be sent again and again."""

    path: str
    bodies: Path
    kind: str = "application/json"


def wrk(url: str, load: Load, connections: int, seconds: float, script: Path) -> Measured:
    """Put load on the server."""
    stem = os.urandom(6).hex()
    environment = os.environ | {"KIND": load.kind, "BODIES": str(load.bodies), "STEM": stem}
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "30s"]
    done = subprocess.run(
        [*command, "-s", str(script), url + load.path],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = re.search(r"^MEASURED (\S+) (\S+) (\S+) (\d+)$", done.stdout, re.MULTILINE)
    assert found is not None, done.stdout + done.stderr
    assert found[4] == "0", f"{found[4]} requests failed: {done.stdout}"
    return Measured(float(found[1]) / 1e6, float(found[2]) / 1e6, float(found[3]))


def bare(calls: list[Callable[[], object]], seconds: float) -> Measured:
    """Do calls one after another in this process."""
    taken = []
    begun = time.perf_counter()
    while (before := time.perf_counter()) < begun + seconds:
        calls[len(taken) % len(calls)]()
        taken.append(time.perf_counter() - before)
    p50, p99 = np.percentile(taken, [50, 99])
    return Measured(p50, p99, len(taken) / (time.perf_counter() - begun))


@contextlib.contextmanager
def served(uri: Path) -> Iterator[tuple[str, int]]:
    """Run a server of its own; yield its address and process id."""
    command = [sys.executable, "-m", "h2q", "serve", str(uri), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = ""
        while not url:
            line = process.stderr.readline()
            assert line, "the server did not start"
            url = json.loads(line).get("url", "")
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        try:
            while httpx.get(url + "readyz").status_code != 200:
                time.sleep(0.05)
            yield url, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            drain.join()


@contextlib.contextmanager
def writing(url: str, width: int) -> Iterator[list[int]]:
    """Add items at a steady rate by requests; yield how many were added."""
    stop, added = threading.Event(), [0]

    def work() -> None:
        rng = np.random.default_rng(9)
        begun = time.perf_counter()
        with httpx.Client(base_url=url, timeout=60) as client:
            while not stop.is_set():
                codes = rng.integers(0, 256, (_WRITE, width), dtype=np.uint8)
                # Some thousand ids again and again: the collection stays as large as it is.
                ids = [f"new {(added[0] + i) % 5000}" for i in range(_WRITE)]
                body = {"ids": ids, "codes": base64.b64encode(codes.tobytes()).decode()}
                client.post("/api/v1/items", json=body).raise_for_status()
                added[0] += _WRITE
                stop.wait(max(0.0, begun + added[0] / _RATE - time.perf_counter()))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield added
    finally:
        stop.set()
        thread.join()


def show(name: str, pairs: list[tuple[Measured, Measured]], absolute: bool = True) -> None:
    """Print the ratios of rounds: what was measured over its peer."""
    text = f"{name:<46}"
    for title, values in (
        ("p50", [ours.p50 / peer.p50 for ours, peer in pairs]),
        ("p99", [ours.p99 / peer.p99 for ours, peer in pairs]),
        ("rate", [ours.rate / peer.rate for ours, peer in pairs]),
    ):
        text += f" {title} {statistics.median(values):6.2f} ({min(values):.2f}-{max(values):.2f})"
    if absolute:
        ours = [ours for ours, _ in pairs]
        text += "   here: " + ", ".join(
            f"{statistics.median(values):.2f} {unit}"
            for unit, values in (
                ("ms", [each.p50 * 1e3 for each in ours]),
                ("ms", [each.p99 * 1e3 for each in ours]),
                ("a second", [each.rate for each in ours]),
            )
        )
    print(text, flush=True)


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collection", type=Path, help="of photos; it is copied")
    parser.add_argument("--photos", type=Path, help="JPEG files to search with")
    parser.add_argument("--n", type=int, default=1_000_000, help="random codes, if no collection")
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--only", default="code,id,page,photo,token", help="of these")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--servers", action="store_true", help="a second one over the same file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uri = folder / "bench.h2q"
        if options.collection is not None:
            with h2q.open_collection(str(options.collection), mode="r") as given:
                given.backup(uri)
        else:
            rng = np.random.default_rng(0)
            codes = rng.integers(0, 256, (options.n, options.bits // 8), dtype=np.uint8)
            with h2q.open_collection(str(uri), n_bits=options.bits) as made:
                for start in range(0, options.n, 100_000):
                    part = codes[start : start + 100_000]
                    made.add(range(start, start + len(part)), part)
                made.optimize()
        with contextlib.ExitStack() as stack:
            collection = stack.enter_context(h2q.open_collection(str(uri), mode="r"))
            servers = 1 + options.servers
            urls = [stack.enter_context(served(uri))[0] for _ in range(servers)]
            _measure(collection, urls, folder, options)


def _measure(
    collection: h2q.collections.Collection,
    urls: list[str],
    folder: Path,
    options: argparse.Namespace,
) -> None:
    url = urls[0]
    script = folder / "load.lua"
    script.write_text(_LUA)
    rng = np.random.default_rng(1)
    batch = next(collection.iterate(2000))
    places = rng.integers(0, len(batch.ids), 500).tolist()

    def searching(name: str, queries: list[dict[str, str]], **more: object) -> Load:
        path = folder / f"{name}.jsonl"
        bodies = [json.dumps({"queries": [q], "k": options.k, **more}) for q in queries]
        path.write_text("\n".join(bodies))
        return Load("api/v1/search", path)

    by_code = [{"code": base64.b64encode(batch.codes[p].tobytes()).decode()} for p in places]
    by_id = [{"key": key_of(batch.ids[p])} for p in places]
    loads = {
        "code": searching("code", by_code),
        "id": searching("id", by_id),
        "page": searching("page", by_id, overview=True),
    }
    peers: dict[str, list[Callable[[], object]]] = {}
    library = [lambda p=p: collection.search(batch.codes[p], options.k) for p in places]
    peers |= dict.fromkeys(loads, library)
    if options.photos is not None:
        files = sorted(options.photos.rglob("*.jpg"))
        chosen = [files[i] for i in rng.integers(0, len(files), 200)]
        listed = folder / "photos.txt"
        listed.write_text("\n".join(map(str, chosen)))
        encoder = kept_encoder(collection)

        def embed(path: Path) -> object:
            return encoder.embed([encoder.prepare(read_image(path.read_bytes()))])

        loads["photo"] = Load("api/v1/queries", listed, "image/jpeg")
        peers["photo"] = [lambda path=path: embed(path) for path in chosen]
        tokens = [
            httpx.post(url + "api/v1/queries", content=p.read_bytes(), timeout=60).json()["token"]
            for p in chosen[:50]
        ]
        loads["token"] = searching("token", [{"photo": token} for token in tokens])
        peers["token"] = library
    print(
        f"{len(collection):,} items, {collection.n_bits} bits, k = {options.k}; "
        f"{os.cpu_count()} cores; {options.rounds} rounds of {options.seconds:.0f} s each",
        flush=True,
    )
    loads = {name: load for name, load in loads.items() if name in options.only.split(",")}
    for load in loads.values():
        for each in urls:
            wrk(each, load, 2, 1, script)
    for name, load in loads.items():
        alone, busy, two, writes, several = [], [], [], [], []
        for _ in range(options.rounds):
            peer = bare(peers[name], options.seconds)
            one = wrk(url, load, 1, options.seconds, script)
            alone.append((one, peer))
            two.append((wrk(url, load, 2, options.seconds, script), one))
            if len(urls) > 1:
                with ThreadPoolExecutor(len(urls)) as threads:
                    given = [
                        threads.submit(wrk, each, load, 1, options.seconds, script) for each in urls
                    ]
                    found = [each.result() for each in given]
                middle = [
                    statistics.mean(values)
                    for values in ((f.p50 for f in found), (f.p99 for f in found))
                ]
                several.append((Measured(*middle, sum(f.rate for f in found)), one))
            with writing(url, (collection.n_bits + 7) // 8) as added:
                begun = time.perf_counter()
                busy.append((wrk(url, load, 1, options.seconds, script), one))
                writes.append(added[0] / (time.perf_counter() - begun))
        show(f"{name}: over the bare call", alone)
        show(f"{name}: two connections over one", two, absolute=False)
        if several:
            show(f"{name}: two servers over one", several, absolute=False)
        show(f"{name}: with {statistics.median(writes):,.0f} writes/s over without", busy)


if __name__ == "__main__":
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    main()
