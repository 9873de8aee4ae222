"""A quantizer fitted on a stream of shards is the one fitted on all rows at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from h2q import HouseholderQuantizer, ITQQuantizer
from h2q.errors import InvalidInputError
from h2q.ingest import fit_shards
from tests.ingest.conftest import rows_of

PEAK = """
import re, sys
from pathlib import Path
from h2q import HouseholderQuantizer
from h2q.ingest import fit_shards
q = HouseholderQuantizer(n_bits=16, max_samples=2000, random_state=0)
fit_shards(sys.argv[1], q, with_error=False)
# Not ru_maxrss, which begins with what the parent held.
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.parametrize("make", [HouseholderQuantizer, ITQQuantizer])
@pytest.mark.parametrize("max_samples", [400, 50_000])
def test_streamed_is_fitted(shards: Path, make: type, max_samples: int) -> None:
    seen: list[tuple[int, int]] = []
    streamed = make(n_bits=16, max_samples=max_samples, random_state=3)
    report = fit_shards(str(shards), streamed, on_progress=lambda *now: seen.append(now))
    rows = np.concatenate([rows_of(seed) for seed in range(3)])
    whole = make(n_bits=16, max_samples=max_samples, random_state=3).fit(rows)
    np.testing.assert_allclose(streamed.rotation_, whole.rotation_, atol=1e-4)
    assert (streamed.transform(rows) == whole.transform(rows)).mean() > 0.999
    assert report.rows == 1500
    assert report.quantization_error == pytest.approx(whole.quantization_error(rows), rel=1e-5)
    assert seen[-1] == (3000, 3000)


def test_memory_does_not_grow_with_the_shards(tmp_path: Path) -> None:
    peaks = []
    for n in (1, 12):
        folder = tmp_path / str(n)
        folder.mkdir()
        for i in range(n):  # 16 MB each
            np.save(folder / f"{i}.npy", np.random.default_rng(i).random((16_000, 250), np.float32))
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(folder)], check=True, capture_output=True, text=True
        )
        peaks.append(int(done.stdout) // 1024)
    # 176 MB more on disk.
    assert peaks[1] - peaks[0] < 60, peaks


def test_the_command(h2q, shards: Path, tmp_path: Path) -> None:
    from h2q import load

    out = tmp_path / "q.safetensors"
    done = h2q("fit", f"{shards}/*.npy", "--bits", 16, "--out", out, "--json")
    assert done.code == 0, done
    result = json.loads(done.out)
    assert (result["rows"], result["n_bits"]) == (1000, 16)
    assert 0 < result["quantization_error"] < 1
    assert load(out).transform(rows_of(0)).shape == (500, 2)
    quick = h2q("fit", shards, "--bits", 16, "--out", out, "--json", "--no-error")
    assert json.loads(quick.out)["quantization_error"] is None


def test_a_bad_row_names_its_shard(shards: Path) -> None:
    bad = rows_of(5)
    bad[17, 3] = np.nan
    np.save(shards / "bad.npy", bad)
    with pytest.raises(InvalidInputError, match=r"bad\.npy.*17"):
        fit_shards(str(shards), HouseholderQuantizer(n_bits=16))


def test_a_split_that_no_shard_has(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", features=rows_of(0), split=np.full(500, "database"))
    with pytest.raises(InvalidInputError, match="--split all"):
        fit_shards(str(tmp_path), HouseholderQuantizer(n_bits=16))
