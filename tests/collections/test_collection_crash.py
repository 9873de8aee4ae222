"""A process killed with SIGKILL in the middle of writes loses nothing it acknowledged."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from h2q import open_collection
from h2q.codes import pack
from tests.collections.brute_collection import DictModel, exact_rows, same_content
from tests.collections.crash_plan import N_BITS, apply

SCRIPT = Path(__file__).with_name("crash_plan.py")


def killed_after(path: Path, start: int, seconds: float) -> int:
    """Run the writes from number `start` on, kill them some time after the first acknowledgement.

    Returns the number of the first write that was not acknowledged.
    """
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(path), str(start)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert int(first) == start
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().splitlines(keepends=True)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    # A kill may cut the last line, but not a line of which the end was read.
    acknowledged = [int(line) for line in (first, *rest) if line.endswith("\n")]
    assert acknowledged == list(range(start, start + len(acknowledged)))
    return start + len(acknowledged)


def holds(path: Path, model: DictModel) -> bool:
    with open_collection(path) as collection, contextlib.suppress(AssertionError):
        same_content(collection, model)
        return True
    return False


@pytest.mark.slow
def test_sigkill_in_the_middle_of_writes(tmp_path: Path):
    path, model, done = tmp_path / "photos.h2q", DictModel(N_BITS), 0
    rng = np.random.default_rng(int.from_bytes(os.urandom(4)))
    interrupted = 0
    for _ in range(6):
        acknowledged = killed_after(path, done, rng.uniform(0, 0.4))
        for number in range(done, acknowledged):
            apply(model, number)
        done = acknowledged
        # The write under way may have been committed just before the kill: all of it or nothing.
        if not holds(path, model):
            apply(model, done)
            done += 1
            interrupted += 1
        with open_collection(path) as collection:
            collection.check()
            same_content(collection, model)
            rows = exact_rows(rng, 5, N_BITS)
            found, by_score = collection.search(pack(rows), 20), collection.search(rows, 20)
            near = collection.within(pack(rows), 5)
            for i, (row, code) in enumerate(zip(rows, pack(rows), strict=True)):
                assert (found.ids[i], found.distances[i].tolist()) == model.nearest(code, 20)
                assert by_score.ids[i] == model.asymmetric(row, 20)[0]
                assert near.ids[i] == model.within(code, 5)[0]
    assert done > 6


@pytest.mark.slow
def test_sigkill_while_a_collection_is_made(tmp_path: Path):
    """The file is there whole, or not at all; what is left over does no harm."""
    model = tmp_path / "model.bin"
    header = b'{"__metadata__":{"kind":"hasher","hasher":"{\\"n_bits\\": 24}"}}'
    model.write_bytes(len(header).to_bytes(8, "little") + header + os.urandom(8 << 20))
    code = (
        "import sys, h2q; print('ready', flush=True); "
        "h2q.open_collection(sys.argv[1], model=sys.argv[2]).close()"
    )
    # `h2q.open_collection` imports faiss first, hence the first argument-free access.
    code = "import h2q; h2q.open_collection; " + code
    rng = np.random.default_rng(int.from_bytes(os.urandom(4)))
    for attempt in range(3):
        path = tmp_path / f"{attempt}.h2q"
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(model)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        process.wait()
        process.stdout.close()
        with open_collection(path, model=model) as collection:
            collection.check()
            assert collection.n_bits == 24
            assert collection.model_bytes() == model.read_bytes()
