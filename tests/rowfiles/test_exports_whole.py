"""An export of several files is one: whole, or the earlier one, or refused."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from h2q.errors import FormatError
from h2q.rowfiles import read_codes, stream_of_codes, write_codes

#: Those whose file does not hold everything itself.
SEVERAL = (".npy", ".u8bin", ".fbin", ".faiss", ".usearch", ".csv")
ALL = (*SEVERAL, ".parquet", ".arrow", ".npz", ".hdf5")
N = 2000
RNG = np.random.default_rng(0)
CODES = RNG.integers(0, 256, (N, 8), dtype=np.uint8)
IDS = [f"photo-{i}" for i in range(N)]
TRUTH = dict(zip(IDS, map(bytes, CODES), strict=True))

#: Exports in another order, and ends at the rename of a number; every format, every rename.
KILLED = """
import os, sys
from pathlib import Path
import numpy as np
from h2q.rowfiles import stream_of_codes, write_codes
from tests.rowfiles.test_exports_whole import CODES, IDS, N, SEVERAL
order = np.random.default_rng(1).permutation(N)
stream = stream_of_codes(CODES[order], 64, ids=[IDS[i] for i in order])
real, left = Path.replace, 0
def replace(self, target):
    global left
    left -= 1
    if not left:
        os._exit(9)
    return real(self, target)
Path.replace = replace
for number in (1, 2, 3):
    for suffix in SEVERAL:
        left = number
        if not os.fork():
            write_codes(stream, Path(sys.argv[1]) / str(number) / f"codes{suffix}")
            os._exit(0)
        os.wait()
"""


def export(path: Path) -> None:
    write_codes(stream_of_codes(CODES, 64, ids=IDS), path)


def pairs(path: Path) -> dict[object, bytes]:
    return {
        item_id: bytes(code)
        for batch in read_codes(path).batches(300)
        for item_id, code in zip(batch.ids, batch.codes, strict=True)
    }


@pytest.mark.parametrize("earlier", [False, True])
def test_a_kill_at_any_rename_pairs_no_code_with_another_id(tmp_path, earlier):
    paths = [tmp_path / n / f"codes{suffix}" for n in "123" for suffix in SEVERAL]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        if earlier:
            export(path)
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=True)
    outcomes = set()
    for path in paths:
        try:
            assert pairs(path) == TRUTH, path
            outcomes.add("whole")
        except FormatError as error:
            outcomes.add("of another" if "is of another export" in str(error) else str(error)[-13:])
    assert outcomes == {"whole", "of another" if earlier else " no such file"}
    for path in paths[: len(SEVERAL)]:  # and the next export mends it
        export(path)
        assert pairs(path) == TRUTH
    assert not list((tmp_path / "1").glob(".*"))


@pytest.mark.parametrize("suffix", SEVERAL)
def test_files_of_two_exports_are_refused(tmp_path, suffix):
    path, other = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    export(path)
    order = np.random.default_rng(1).permutation(N)
    write_codes(stream_of_codes(CODES[order], 64, ids=[IDS[i] for i in order]), other)
    names = [p.name.removeprefix(path.name) for p in tmp_path.glob(f"{path.name}*")]
    assert len(names) == (2 if suffix == ".csv" else 3)
    for name in names:
        kept = Path(f"{path}{name}").read_bytes()
        shutil.copyfile(f"{other}{name}", f"{path}{name}")
        with pytest.raises(FormatError, match="of another export, or the file was changed"):
            pairs(path)
        Path(f"{path}{name}").write_bytes(kept)
    assert pairs(path) == TRUTH
    if suffix != ".csv":
        Path(f"{path}.items.jsonl").unlink()
        with pytest.raises(FormatError, match="missing"):
            pairs(path)


def test_exports_of_the_first_format_version_are_read(tmp_path):
    path = tmp_path / "codes.npy"
    export(path)
    beside = Path(f"{path}.json")
    text = beside.read_text().replace('"format_version": 2', '"format_version": 1')
    lines = [line for line in text.splitlines() if "sha256" not in line]
    beside.write_text("\n".join(lines))
    assert pairs(path) == TRUTH


@pytest.mark.parametrize("earlier", [False, True])
def test_a_full_disk_leaves_the_earlier_export(tmp_path, earlier):
    """In a child: some libraries end the process where they find the disk full."""
    code = """
import resource, signal, sys
from pathlib import Path
from h2q.rowfiles import stream_of_codes, write_codes
from tests.rowfiles.test_exports_whole import ALL, CODES, IDS
stream = stream_of_codes(CODES[::-1], 64, ids=IDS[::-1])
for suffix in ALL:
    for limit in (0, 100, 5000, 14000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, -1))
        path = Path(sys.argv[1]) / f"codes{suffix}"
        try:
            write_codes(stream, path)
        except OSError as error:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10**9, -1))
            assert "codes" in str(error), error
            print(suffix, limit, flush=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10**9, -1))
"""
    for suffix in ALL if earlier else ():
        export(tmp_path / f"codes{suffix}")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    refused = {tuple(line.split()) for line in done.stdout.splitlines()}
    assert {(suffix, str(limit)) for suffix in ALL for limit in (0, 100, 5000)} <= refused
    for suffix in ALL:
        if (suffix, "14000") in refused:
            mine = [name for name in before if name.startswith(f"codes{suffix}")]
            now = {p.name for p in tmp_path.glob(f"codes{suffix}*")}
            assert now == set(mine)
            assert all((tmp_path / name).read_bytes() == before[name] for name in mine)
    assert not list(tmp_path.glob(".*"))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0
