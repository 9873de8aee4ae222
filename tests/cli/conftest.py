"""The demo run once, and the command line run in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from h2q.cli._app import app

Run = Callable[..., "Outcome"]


class Outcome:
    """What a command printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


@pytest.fixture(scope="session")
def h2q() -> Run:
    """Run `h2q ARGS...` in this process."""

    def run(*args: object) -> Outcome:
        result = CliRunner().invoke(app, [str(arg) for arg in args], prog_name="h2q")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(scope="session")
def demo(h2q: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `h2q demo` with few epochs: a trained model, photos, a collection."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    outcome = h2q("--quiet", "demo", "--out", folder, "--epochs", 4)
    assert outcome.code == 0, outcome
    return folder
