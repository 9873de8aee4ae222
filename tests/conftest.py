"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Two pytest workers on two cores: more OpenMP threads than that only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of optional real data and weights beside the project."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("the optional folder of real data beside the project is absent")
    return folder
