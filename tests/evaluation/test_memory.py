"""Memory is bounded by blocks, not by the number of pairs: measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench" / "evaluation.py"


@pytest.mark.parametrize("k", [5_000, 200_000])
def test_peak_memory_of_a_large_database_stays_within_bounds(k):
    # As many items as in the goal (5,000 queries x 200,000 items x 64 bits below 1 GiB), which
    # fixes the size of a block, and enough queries for several blocks; bench/ runs all 5,000.
    sizes = ["--queries", "24", "--items", "200000", "--bits", "64", "--k", str(k)]
    command = [sys.executable, str(BENCH), *sizes, "--only"]
    command += ["hamming", "asymmetric", "embedding", "cosine"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    run = json.loads(done.stdout)
    assert set(run["mAP"]) == {"hamming", "asymmetric", "embedding", "cosine"}
    assert run["inputs_mib"] < run["peak_mib"] < 1024
