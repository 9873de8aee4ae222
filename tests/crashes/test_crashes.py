"""Killed at every point, or without power at any moment: what was acknowledged is there.

The ends come from outside: `disk.c` stands between the process and libc, counts and logs what it
does to its files, and kills it; `disk.py` works out what a loss of power would have left.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crashes.disk import Disk, read_log

HERE = Path(__file__).parent
Run = Callable[..., str]


@pytest.fixture(scope="session")
def shim(tmp_path_factory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("shim") / "disk.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "disk.c", "-ldl"], check=True
    )
    return library


@pytest.fixture
def run(shim, tmp_path) -> Run:
    def run(*arguments: object) -> str:
        folder = tmp_path / "folder"
        folder.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            env={**os.environ, "LD_PRELOAD": str(shim), "H2Q_FOLDER": str(folder / "work")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (arguments, done.stdout[-500:], done.stderr[-3000:])
        return done.stdout

    return run


@pytest.mark.parametrize(
    ("scenario", "stride"), [("writes", 12), ("indexed", 16), ("restores", 9), ("exports", 4)]
)
def test_killed_at_some_points(run, tmp_path, scenario, stride):
    first = 1 + secrets.randbelow(stride)
    looked = run("-m", "tests.crashes.driver", "kill", scenario, tmp_path / "folder", first, stride)
    assert int(looked) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["writes", "indexed", "restores", "exports"])
def test_killed_at_every_point(run, tmp_path, scenario):
    looked = run("-m", "tests.crashes.driver", "kill", scenario, tmp_path / "folder", 1, 1)
    assert int(looked) > 12


@pytest.mark.parametrize("scenario", ["writes", "indexed", "restores", "exports"])
def test_power_lost_at_some_moments(run, tmp_path, scenario):
    seed = secrets.randbelow(10**6)
    looked = run("-m", "tests.crashes.driver", "power", scenario, tmp_path / "folder", seed, 4)
    assert int(looked) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["writes", "indexed", "restores", "exports"])
def test_power_lost_at_many_moments(run, tmp_path, scenario):
    seed = secrets.randbelow(10**6)
    looked = run("-m", "tests.crashes.driver", "power", scenario, tmp_path / "folder", seed, 200)
    assert int(looked) >= 40


#: Does what may be lost, and what may not.
FORGETFUL = """
import ctypes, os, sys
folder, log = sys.argv[1:]
ctypes.CDLL(None).disk_log(log.encode())
def put(name, data, sync, folder_too=False):
    with open(f"{folder}/{name}", "wb", buffering=0) as file:
        file.write(data)
        if sync: os.fsync(file.fileno())
    if folder_too: os.fsync(os.open(folder, os.O_RDONLY))
put("kept", b"kept", True, True)
put("content", b"content", False, True)
put("new", b"new", True, True)
put("name", b"name", True)
os.rename(f"{folder}/new", f"{folder}/kept")
"""


def test_the_disk_forgets_what_was_not_synced(run, tmp_path):
    """The simulation itself: what it takes away, and what it may leave."""
    folder, log = tmp_path / "folder" / "work", tmp_path / "log"
    folder.mkdir(parents=True)
    disk = Disk(folder)
    run("-c", FORGETFUL, folder, log)
    for change in read_log(log):
        disk.apply(change)

    def named(files: dict[str, bytes]) -> dict[str, bytes]:
        return {Path(path).name: content for path, content in files.items()}

    assert named(disk.crash(None)) == {"kept": b"kept", "content": b"", "new": b"new"}
    seen = [named(disk.crash(random.Random(seed))) for seed in range(200)]  # noqa: S311
    assert {files["content"] for files in seen} == {b"", b"content"}
    assert {files.get("name") for files in seen} == {None, b"name"}
    assert {files["kept"] for files in seen} == {b"kept", b"new"}
