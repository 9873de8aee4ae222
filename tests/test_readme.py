"""What the README says to type works as written."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def blocks(language: str) -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def run(command: list[str], folder: Path) -> str:
    """Run with this environment's programs first on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_python(tmp_path):
    (block,) = blocks("python")
    printed = run([sys.executable, "-c", block], tmp_path)
    first, second = ast.literal_eval(printed)
    assert first[0] == 0
    assert second[0] == 1
    assert len(first) == len(second) == 5


@pytest.mark.slow
def test_shell(tmp_path):
    run([sys.executable, "-m", "h2q", "demo", "--out", "build/demo"], tmp_path)
    assert (tmp_path / "build/demo/report.html").stat().st_size > 10_000
    (block,) = blocks("bash")
    commands = block.strip().splitlines()
    assert [line.split()[1] for line in commands] == ["train", "index", "search", "eval", "info"]
    for line in commands:
        run(["bash", "-euc", line], tmp_path)
    assert (tmp_path / "neighbours.png").read_bytes().startswith(b"\x89PNG")


def test_every_page_linked_to_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", text) if not t.startswith("http")]
    assert targets
    assert [t for t in targets if not (ROOT / t).exists()] == []
