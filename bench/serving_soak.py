"""A server under mixed load for many minutes: its memory and handles.

    python bench/serving_soak.py --collection photos.h2q --photos caltech101 --minutes 10

Searches by item, code and photo, what the page asks for, adds and deletes, at a moderate rate.
Prints memory, open handles and counts every half minute, and in the end the growth a minute of the
second half (least squares), which is what a leak would show.
"""

from __future__ import annotations

import argparse
import base64
import os
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
import psutil

import h2q
from h2q.collections.http.wire import key_of
from serving import served


class Load:
    """Requests at a steady rate, until it is told to stop."""

    def __init__(self, url: str, files: list[Path], keys: list[str], width: int) -> None:
        self._url, self._files, self._keys, self._width = url, files, keys, width
        self._stop = threading.Event()
        self.done: Counter[str] = Counter()
        self.failed: list[str] = []
        self._threads = [
            threading.Thread(target=self._work, args=(what, rate))
            for what, rate in (
                ("id", 15), ("code", 10), ("photo", 4), ("page", 2), ("add", 6), ("delete", 3),
            )
        ]  # fmt: skip

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, what: str, rate: float) -> None:
        rng = np.random.default_rng(len(what))
        begun = time.perf_counter()
        with httpx.Client(base_url=f"{self._url}api/v1/", timeout=120) as client:
            while not self._stop.is_set():
                try:
                    answer = getattr(self, f"_{what}")(client, rng)
                    if answer.status_code != 200:
                        self.failed.append(f"{what}: {answer.status_code} {answer.text[:200]}")
                except httpx.TransportError as error:
                    self.failed.append(f"{what}: {error!r}")
                self.done[what] += 1
                self._stop.wait(max(0.0, begun + self.done[what] / rate - time.perf_counter()))

    def _id(self, client: httpx.Client, rng: np.random.Generator, **more: object) -> httpx.Response:
        queries = [{"key": self._keys[rng.integers(len(self._keys))]}]
        return client.post("search", json={"queries": queries, "k": 20, **more})

    def _code(self, client: httpx.Client, rng: np.random.Generator) -> httpx.Response:
        code = base64.b64encode(rng.bytes(self._width)).decode()
        return client.post("search", json={"queries": [{"code": code}], "k": 20})

    def _photo(self, client: httpx.Client, rng: np.random.Generator) -> httpx.Response:
        data = self._files[rng.integers(len(self._files))].read_bytes()
        token = client.post("queries", content=data + rng.bytes(8)).json()["token"]
        return client.post("search", json={"queries": [{"photo": token}], "k": 20})

    def _page(self, client: httpx.Client, rng: np.random.Generator) -> httpx.Response:
        client.get(f"thumbnails/{self._keys[rng.integers(len(self._keys))]}").raise_for_status()
        client.post("facets", json={}).raise_for_status()
        client.get("items", params={"offset": int(rng.integers(3000))}).raise_for_status()
        return self._id(client, rng, overview=True)

    def _add(self, client: httpx.Client, rng: np.random.Generator) -> httpx.Response:
        codes = base64.b64encode(rng.bytes(50 * self._width)).decode()
        ids = [f"new {i}" for i in rng.integers(0, 3000, 50)]
        payloads = [{"label": f"kind {i % 20}"} for i in range(50)]
        return client.post("items", json={"ids": ids, "codes": codes, "payloads": payloads})

    def _delete(self, client: httpx.Client, rng: np.random.Generator) -> httpx.Response:
        ids = [f"new {i}" for i in rng.integers(0, 3000, 60)]
        return client.post("items/delete", json={"ids": ids})


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collection", type=Path, required=True, help="of photos; it is copied")
    parser.add_argument("--photos", type=Path, required=True, help="JPEG files to search with")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two looks")
    options = parser.parse_args()
    files = sorted(options.photos.rglob("*.jpg"))
    with tempfile.TemporaryDirectory() as name:
        uri = Path(name) / "soak.h2q"
        with h2q.open_collection(str(options.collection), mode="r") as given:
            given.backup(uri)
            keys = [key_of(item_id) for item_id in given]
            width = (given.n_bits + 7) // 8
        with served(uri) as (url, pid):
            server = psutil.Process(pid)
            memory, handles = [], []
            print(f"{len(keys):,} items; {os.cpu_count()} cores", flush=True)
            with Load(url, files, keys, width) as load:
                begun = time.monotonic()
                while time.monotonic() - begun < 60 * options.minutes:
                    time.sleep(options.every)
                    memory.append(server.memory_info().rss / 1e6)
                    handles.append(server.num_fds())
                    print(
                        f"{(time.monotonic() - begun) / 60:5.1f} min  {memory[-1]:6.1f} MB  "
                        f"{handles[-1]:3} handles  {sum(load.done.values()):7,} requests  "
                        f"{len(load.failed)} failed",
                        flush=True,
                    )
            print(f"requests: {dict(load.done)}; failed: {load.failed[:3]}")
            half = len(memory) // 2
            if len(memory) - half > 2:
                slope = np.polyfit(np.arange(len(memory) - half), memory[half:], 1)[0]
                minutes = options.every / 60
                print(f"second half: {slope / minutes:+.2f} MB a minute, "
                      f"{handles[half]} to {handles[-1]} handles")  # fmt: skip


if __name__ == "__main__":
    main()
