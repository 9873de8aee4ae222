"""Run a scenario again and again, and end it at every point; loaded with `disk.c` (LD_PRELOAD).

    driver.py kill SCENARIO FOLDER FIRST STRIDE     die at point FIRST, FIRST + STRIDE, ...
    driver.py power SCENARIO FOLDER SEED CRASHES    lose the power at so many moments

Prints how many ends were looked at. Everything is imported once; each run is a fork of it.
"""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.crashes.disk import Disk, read_log
from tests.crashes.scenarios import SCENARIOS

DISK = ctypes.CDLL(None)


def in_child(function: Callable[[], None]) -> int:
    """Return the status of a fork that does this; 1 where it raised."""
    child = os.fork()
    if not child:
        status = 1
        try:
            function()
            status = 0
        except BaseException:
            traceback.print_exc()
        os._exit(status)
    return os.waitpid(child, 0)[1]


def fresh(folder: Path, name: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    assert in_child(partial(SCENARIOS[name]().prepare, folder)) == 0


def kill(name: str, folder: Path, first: int, stride: int) -> int:
    work, start, marks = folder / "work", folder / "start", folder.with_name("marks")
    fresh(work, name)
    shutil.copytree(work, start)

    def run(at: int) -> None:
        DISK.disk_kill_at(at)
        with marks.open("wb", buffering=0) as file:
            SCENARIOS[name]().run(work, lambda number: file.write(b"."))
        file = marks.open("ab")
        file.write(b"end")
        file.close()

    for looked, at in enumerate(range(first, 10**6, stride)):
        shutil.rmtree(work)
        shutil.copytree(start, work)
        status = in_child(partial(run, at))
        marked = marks.read_bytes()
        if marked.endswith(b"end"):
            assert status == 0
            return looked
        assert status == 9, f"point {at}: the run itself failed"
        if in_child(partial(SCENARIOS[name]().verify, work, len(marked))):
            raise SystemExit(f"{name}: killed at point {at}, {len(marked)} steps acknowledged")
    raise AssertionError


def _chances(rng: random.Random) -> list[random.Random]:
    return [random.Random(rng.random()) for _ in range(2)]  # noqa: S311


def power(name: str, folder: Path, seed: int, crashes: int) -> int:
    work, log, rng = folder / "work", folder.with_name("log"), random.Random(seed)  # noqa: S311
    fresh(work, name)
    disk = Disk(work)

    def run() -> None:
        DISK.disk_log(str(log).encode())
        SCENARIOS[name]().run(work, lambda number: DISK.disk_acknowledge(ctypes.c_long(number)))

    assert in_child(run) == 0
    changes = list(read_log(log))
    after = [i + 1 for i, change in enumerate(changes) if change.op == "A"]
    order = [i for i, change in enumerate(changes) if change.op in "CRLUTSDA"]
    moments = {  # half of them right after an acknowledgement
        *rng.sample(after, min(len(after), crashes // 2)),
        *rng.sample(order, min(len(order), crashes - crashes // 2)),
    }
    looked = 0
    for moment in range(len(changes) + 1):
        if moment in moments:
            for chance in (None, *_chances(rng)):
                shutil.rmtree(work)
                work.mkdir()
                for path, content in disk.crash(chance).items():
                    Path(path).parent.mkdir(parents=True, exist_ok=True)
                    Path(path).write_bytes(content)
                looked += 1
                if in_child(partial(SCENARIOS[name]().verify, work, disk.acknowledged)):
                    raise SystemExit(
                        f"{name}: power lost before change {moment} of {len(changes)} (seed {seed},"
                        f" {'the least' if chance is None else 'some'}), {disk.acknowledged} steps "
                        f"acknowledged, {sorted(p.name for p in work.iterdir())}"
                    )
        if moment < len(changes):
            disk.apply(changes[moment])
    return looked


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # a log may be set aside
    what, scenario, where, one, two = sys.argv[1:]
    print({"kill": kill, "power": power}[what](scenario, Path(where), int(one), int(two)))
