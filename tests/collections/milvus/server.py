"""A real Milvus server, the standalone one of PyPI, where nobody else can reach it.

The server binds every interface. So it runs in a network namespace of its own, in which only the
loopback exists; `server_process.py` runs there, too, and passes on what arrives at a port of our
127.0.0.1.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

_SCRIPT = Path(__file__).with_name("server_process.py")
#: Seconds the first start may take: it unpacks 60 MB first.
_START_TIMEOUT = 240.0


def missing() -> str | None:
    """Why no server can run here, or None."""
    if sys.platform != "linux":
        return "the Milvus server of PyPI is for Linux"
    for module in ("pymilvus", "milvus"):
        try:
            __import__(module)
        except ImportError as error:
            return f"{error}; pip install 'h2q[dev]'"
    if shutil.which("unshare") is None:
        return "there is no unshare command here (util-linux)"
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        return "a network namespace is not permitted here (run as root)"
    return None


class MilvusServer:
    """A server on `folder`; a killed one can be started again on the same data and port.

    Its program is unpacked, 250 MB, into `program`, which several may share.
    """

    def __init__(
        self, folder: Path, program: Path | None = None, *, authorization: bool = False
    ) -> None:
        self.folder = folder
        self._program = folder if program is None else program
        self._authorization = authorization
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        assert self._process is None
        self.folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as listener, (self.folder / "process.log").open("ab") as log:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(64)
            self.port = listener.getsockname()[1]
            # A socket stays in the namespace it was made in: the process inside accepts at ours.
            self._process = subprocess.Popen(
                ["unshare", "-n", sys.executable, str(_SCRIPT), str(listener.fileno()),
                 str(self.folder), str(self._program), str(int(self._authorization))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        started = time.monotonic()
        os.set_blocking(self._process.stdout.fileno(), False)
        while self._process.stdout.read(1) is None:
            if time.monotonic() - started > _START_TIMEOUT:
                self.kill()
                raise TimeoutError(f"Milvus did not start: {self._log()}")
            time.sleep(0.05)
        if self._process.poll() is not None:
            self.kill()
            raise RuntimeError(f"Milvus ended: {self._log()}")

    def _log(self) -> str:
        return (self.folder / "process.log").read_text(errors="replace")[-3000:]

    def kill(self) -> None:
        """End the server at once, with all its processes, as SIGKILL does."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        """Ends it, and what it kept, at the end."""
        try:
            yield self
        finally:
            self.kill()
            shutil.rmtree(self.folder, ignore_errors=True)


def started_or_skipped(folder: Path, program: Path, *, authorization: bool = False) -> MilvusServer:
    """Start a server, or skip the test with the reason."""
    why = missing()
    if why is not None:
        pytest.skip(why)
    server = MilvusServer(folder, program, authorization=authorization)
    server.start()
    return server
