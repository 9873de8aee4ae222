"""The command itself, as a process with an address: for what only a real server shows."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil


@dataclass(frozen=True)
class Server:
    collection: Path
    url: str
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    @property
    def resident(self) -> int:
        """Bytes of memory."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    @property
    def handles(self) -> int:
        """Open files and sockets."""
        return int(psutil.Process(self.process.pid).num_fds())

    @property
    def said(self) -> str:
        """The log so far."""
        self.log.flush()
        return Path(self.log.name).read_text(encoding="utf-8")


@contextlib.contextmanager
def served(collection: Path, *options: str) -> Iterator[Server]:
    """Run `h2q serve`; it must end as it should when it is told to, unless it was killed."""
    command = [sys.executable, "-m", "h2q", "serve", str(collection), "--port", "0", *options]
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log)
        try:
            server = Server(collection, _address(process, Path(log.name)), process, log)
            yield server
            if process.poll() is None:
                process.terminate()
                assert process.wait(30) == 0, server.said
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    while process.poll() is None:
        with log.open(encoding="utf-8") as lines:
            for line in lines:
                if '"url"' in line and line.endswith("\n"):
                    return str(json.loads(line)["url"])
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    raise AssertionError(f"the server ended: {log.read_text()}")
