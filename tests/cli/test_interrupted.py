"""`h2q index` as a process that is interrupted or killed, and run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from h2q import open_collection
from h2q.errors import CollectionError

H2Q = Callable[..., Any]
_PHOTOS = 600


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    pixels = np.random.default_rng(0).integers(0, 256, (_PHOTOS, 8, 8), dtype=np.uint8)
    for i in range(_PHOTOS):
        Image.fromarray(pixels[i]).save(folder / f"{i:05d}.png")
    return folder


def start(*args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from h2q.cli import main; main()", *map(str, args)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background ignores SIGINT, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def frozen_midway(collection: Path, process: subprocess.Popen[str]) -> int:
    """Stop the process where it has stored some of the photos; return how many."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        time.sleep(0.05)
        assert process.poll() is None, process.communicate()
        if not collection.exists():
            continue
        process.send_signal(signal.SIGSTOP)
        # Stopped while it makes the file, it keeps others out of it.
        with suppress(CollectionError), open_collection(collection, mode="r") as opened:
            if len(opened) > 0:
                return len(opened)
        process.send_signal(signal.SIGCONT)
    raise AssertionError("nothing was indexed")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_run_loses_nothing_and_continues(
    h2q: H2Q, demo: Path, many: Path, tmp_path: Path, how: signal.Signals
) -> None:
    collection = tmp_path / "c.h2q"
    process = start("index", many, "-c", collection, "-m", demo / "run", "--batch-size", 8)
    seen = frozen_midway(collection, process)
    process.send_signal(how)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    if how == signal.SIGINT:
        assert process.returncode == 130, (out, err)
        assert "interrupted" in err
        assert "Traceback" not in err
    else:
        assert process.returncode == -signal.SIGKILL
    with open_collection(collection, mode="r") as opened:
        kept = len(opened)
    assert seen <= kept < _PHOTOS
    outcome = h2q("index", many, "-c", collection)
    assert outcome.code == 0, outcome
    assert outcome.out.startswith(f"{_PHOTOS - kept:,} added, {kept:,} unchanged")


def test_output_into_a_closed_pipe_is_no_error(demo: Path) -> None:
    process = start("info", demo / "digits.h2q")
    assert process.stdout is not None
    os.close(process.stdout.fileno())
    process.stdout = None
    _, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    assert process.returncode == 0


def test_a_bug_shows_its_traceback_and_exits_70() -> None:
    script = (
        "from h2q.cli import main\n"
        "import h2q._describe as d\n"
        "d.describe = lambda path: 1 / 0\n"
        "import sys; sys.argv = ['h2q', 'info', 'x']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 70
    assert "ZeroDivisionError" in done.stderr
    assert "this is a bug in h2q" in done.stderr
