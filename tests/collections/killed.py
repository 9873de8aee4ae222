"""Another process that has a collection open, told what to do and killed at will."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

#: Does each line of Python it is sent with `c`, the open collection; answers with its value, or
#: the name of the error and its text.
_SCRIPT = """
import sys
import numpy as np
from h2q import open_collection
from h2q.collections.embedded import derived
derived.LEAST_CACHED = 1000
def codes(seed, n): return np.random.default_rng(seed).integers(0, 256, (n, 8), dtype=np.uint8)
def add(name, n, seed=0): c.add([f"{name}{i}" for i in range(n)], codes(seed, n))
c = open_collection(sys.argv[1], mode=sys.argv[2], n_bits=64)
print("open", flush=True)
for line in sys.stdin:
    try:
        print(" ".join(str(eval(line)).split()), flush=True)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)
"""


class Other:
    """A process of its own; killed at the end of the block where it still lives."""

    def __init__(self, path: Path, mode: str = "a") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, str(path), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        assert self._read() == "open"

    def ask(self, expression: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(expression + "\n")
        self._process.stdin.flush()
        return self._read()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        assert self._process.wait() == -signal.SIGKILL

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
