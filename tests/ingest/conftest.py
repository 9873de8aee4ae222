"""Shards, a quantizer, a model and photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h2q import HouseholderQuantizer, RandomRotationQuantizer
from tests.ingest.folders.photo_files import save_photo

ROWS, COLUMNS, BITS = 500, 24, 16


def rows_of(seed: int, n: int = ROWS) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, COLUMNS)).astype(np.float32)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Three .npy files of 500 rows of 24 columns, one in a subfolder."""
    folder = tmp_path / "shards"
    (folder / "more").mkdir(parents=True)
    for seed, name in enumerate(["a.npy", "b.npy", "more/c.npy"]):
        np.save(folder / name, rows_of(seed))
    return folder


@pytest.fixture(scope="session")
def quantizer() -> Any:
    return HouseholderQuantizer(n_bits=BITS, random_state=0).fit(rows_of(9))


@pytest.fixture(scope="session")
def model() -> bytes:
    """A model of 16 bits with random weights."""
    torch = pytest.importorskip("torch")
    from h2q.learning import Hasher

    torch.manual_seed(0)
    hasher = Hasher("digits-cnn", n_bits=BITS)
    rows = np.random.default_rng(0).standard_normal((100, BITS))
    hasher.set_quantizer(RandomRotationQuantizer(random_state=0).fit(rows))
    return hasher.to_bytes()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Folder of 60 photos in two subfolders."""
    folder = tmp_path / "photos"
    for i in range(60):
        save_photo(folder / ("cats" if i % 2 else "dogs") / f"{i:02d}.png", i)
    return folder


@pytest.fixture(scope="session")
def h2q() -> Any:
    """Run `h2q ARGS...` in this process."""
    from typer.testing import CliRunner

    from h2q.cli._app import app
    from tests.cli.conftest import Outcome

    def run(*args: object) -> Outcome:
        result = CliRunner().invoke(app, [str(arg) for arg in args], prog_name="h2q")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run
