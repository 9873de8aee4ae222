"""Mutants read in guarded children: limits of memory and time, and a verdict on each.

A process imports everything once and waits; a child forked from it reads mutants one after the
other. One that dies, or hangs and is ended, costs one mutant and a new fork.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, ClassVar

#: More of the address space than the child had when it was forked.
MEMORY = 1 << 30
#: Memory that became resident, beyond this much and this many times the file.
FAT, FAT_SHARE = 96 << 20, 64
#: Processor time of one mutant; the clock is for those that wait.
SLOW_S, HUNG_S = 4.0, 40.0
#: Mutants of one child.
LIFE = 400
_PORTS = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "pickle.find_class",
          "socket.connect", "ctypes.dlopen")  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What came of one mutant.

    Attributes
    ----------
    reader, number
        Which one; the two make it again.
    kind : str
        "read", "refused" (an error of ours that names the file); or a fault: "foreign" (another
        error), "unnamed" (ours, but which file?), "slow", "fat", "wrong", "ran" (code, a process,
        the network), "died", "hung".
    detail : str
    """

    reader: str
    number: int
    kind: str
    detail: str = ""

    @property
    def good(self) -> bool:
        """Whether this is how it should be."""
        return self.kind in ("read", "refused")


class Guard:
    """Reads mutants in children; a context manager.

    Parameters
    ----------
    names : sequence of str
        The readers to prepare.
    """

    def __init__(self, names: list[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.guarded", *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1"},
        )
        self._rest = b""
        self._child = 0

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def read(self, reader: str, number: int) -> Verdict:
        """Read one mutant of a reader."""
        return self._ask(reader, number, {})

    def read_file(self, reader: str, path: Path, *, beside: Sequence[Path] = ()) -> Verdict:
        """Read a file that is there, with others beside it, all in one folder."""
        return self._ask(reader, 0, {"paths": [str(each) for each in (path, *beside)]})

    def _ask(self, reader: str, number: int, more: dict[str, Any]) -> Verdict:
        while not self._child:
            self._take(self._line(300))
        self._send({"reader": reader, "number": number, **more})
        begun = time.monotonic()
        while True:
            line = self._line(HUNG_S - (time.monotonic() - begun))
            if line is None:
                os.kill(self._child, signal.SIGKILL)
                self._take(self._line(60))
                return Verdict(reader, number, "hung", f"{HUNG_S:.0f} s")
            if "died" in line:
                self._child = 0
                if line["died"] == 0:  # it had lived long enough, and had not begun this one
                    return self._ask(reader, number, more)
                return Verdict(reader, number, "died", signal.Signals(-line["died"]).name)
            if "kind" in line:
                return Verdict(reader, number, line["kind"], line["detail"])
            self._take(line)

    def _take(self, line: dict[str, Any] | None) -> None:
        if line is None:
            raise AssertionError("the process that forks the children does not answer")
        if "broken" in line:
            raise AssertionError(line["broken"])
        self._child = line.get("born", 0)

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def _line(self, patience: float) -> dict[str, Any] | None:
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        until = time.monotonic() + patience
        while b"\n" not in self._rest:
            if not select.select([handle], [], [], max(0.0, until - time.monotonic()))[0]:
                return None
            data = os.read(handle, 1 << 16)
            if not data:
                raise AssertionError("the process that forks the children has ended")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found


def mutant(
    cases: list[dict[str, bytes]], inside: Any, reader: str, number: int
) -> dict[str, bytes]:
    """Return the files of a mutant; the first name is the changed one."""
    from tests.fuzz.mutations import mutated

    rng = Random(f"{reader} {number}")  # noqa: S311 (no secret)
    case = dict(rng.choice(cases))
    name = next(iter(case))
    case[name] = mutated(case[name], rng, inside)
    return case


def judge(reader: Any, case: dict[str, bytes], folder: Path, expected: Any = None) -> Verdict:
    """Read one case in this process, and say what came of it."""
    from h2q.errors import H2QError

    for name, content in case.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    target = folder / next(iter(case))
    size = sum(map(len, case.values()))
    _Ports.seen.clear()
    _reset_peak()
    before, cpu = _memory("VmRSS"), time.process_time()
    kind, detail = "read", ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = reader.read(target)
        if reader.must_agree and found != expected:
            kind, detail = "wrong", f"{found!r:.200} for {expected!r:.200}"
    except H2QError as error:
        kind, detail = "refused", f"{type(error).__name__}: {error!s:.300}"
        named = [Path(name).name for name in case] + [folder.name]  # companions are named, too
        if not any(name in str(error) for name in named):
            kind = "unnamed"
    except BaseException as error:
        kind = "foreign"
        at = traceback.extract_tb(error.__traceback__)
        ours = [f"{Path(f.filename).name}:{f.lineno}" for f in at if "/h2q/" in f.filename]
        detail = f"{type(error).__name__}: {error!s:.200} at {ours[-1] if ours else at[-1]}"
    used = time.process_time() - cpu
    grown = max(0, _memory("VmHWM") - before)
    if kind in ("read", "refused"):
        if _Ports.seen:
            kind, detail = "ran", ", ".join(sorted(_Ports.seen))
        elif used > SLOW_S:
            kind, detail = "slow", f"{used:.1f} s: {detail}"
        elif grown > FAT + FAT_SHARE * size + reader.fat:
            kind, detail = "fat", f"{grown >> 20} MB for {size} bytes: {detail}"
    return Verdict(reader.name, 0, kind, detail)


class _Ports:
    """What a reader has no business with, noted by an audit hook."""

    seen: ClassVar[set[str]] = set()

    @classmethod
    def watch(cls) -> None:
        def note(event: str, arguments: Any) -> None:
            if event in _PORTS:
                told = str(arguments)
                # Our own helper for libraries that end the process, and plain pickled arrays.
                if "h2q" not in told and not _is_plain(event, arguments):
                    cls.seen.add(f"{event} {told:.100}")

        sys.addaudithook(note)


def _is_plain(event: str, arguments: Any) -> bool:
    return event == "pickle.find_class" and str(arguments[0]).split(".")[0] in ("numpy", "_codecs")


def _memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) << 10
    return 0


def _reset_peak() -> None:
    # Where it is not allowed the peak is that of the child's life.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _serve(prepared: dict[str, tuple[Any, list[dict[str, bytes]], Any]], ready: int) -> None:
    """Live as a child: read mutants until the parent hangs up."""
    limit = _memory("VmSize") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 28, 1 << 28))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_RDWR), 2)
    os.dup2(2, 1)
    _Ports.watch()
    home = Path(tempfile.mkdtemp(prefix="fuzz-", dir=_fast_disk()))
    try:
        for served, line in enumerate(_requests()):
            name, number = line["reader"], line["number"]
            reader, cases, expected = prepared[name]
            folder = home / f"case{served}"
            folder.mkdir()
            if "paths" in line:
                case = {Path(path).name: Path(path).read_bytes() for path in line["paths"]}
            else:
                case = mutant(cases, reader.inside, name, number)
            verdict = judge(reader, case, folder, expected)
            shutil.rmtree(folder, ignore_errors=True)
            answer = {"kind": verdict.kind, "detail": verdict.detail}
            os.write(ready, json.dumps(answer).encode() + b"\n")
            if served + 1 == LIFE:
                break
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _fast_disk() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def _requests() -> Iterator[dict[str, Any]]:
    rest = b""
    while data := os.read(0, 1 << 12):
        rest += data
        while b"\n" in rest:
            line, _, rest = rest.partition(b"\n")
            yield json.loads(line)
    os._exit(77)


def _main(names: list[str]) -> None:
    """Import, make the good files, and fork children for ever."""
    out = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not come between the lines
    try:
        prepared = _prepared(names)
    except BaseException:
        os.write(out, json.dumps({"broken": traceback.format_exc()}).encode() + b"\n")
        return
    while True:
        child = os.fork()
        if child == 0:
            code = 78
            try:
                os.write(out, json.dumps({"born": os.getpid()}).encode() + b"\n")
                _serve(prepared, out)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 77:
            return
        os.write(out, json.dumps({"died": status if status <= 0 else -6}).encode() + b"\n")


def _prepared(names: list[str]) -> dict[str, tuple[Any, list[dict[str, bytes]], Any]]:
    from h2q.collections.embedded import derived, indexes
    from tests.fuzz.readers import READERS

    # So that the small collections here have the files of large ones.
    derived.LEAST_CACHED = indexes.LEAST_INDEXED = 1  # type: ignore[misc]
    prepared = {}
    for name in names:
        reader = READERS[name]
        cases = reader.cases()
        expected = None
        for case in cases:  # a good file is read, or the harness proves nothing
            with tempfile.TemporaryDirectory() as folder:
                for path, content in case.items():
                    Path(folder, path).parent.mkdir(parents=True, exist_ok=True)
                    Path(folder, path).write_bytes(content)
                expected = reader.read(Path(folder, next(iter(case))))
        prepared[name] = (reader, cases, expected)
    return prepared


if __name__ == "__main__":
    _main(sys.argv[1:])
