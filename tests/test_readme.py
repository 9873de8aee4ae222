"""What the README says to type works as written."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


def blocks(language: str, page: str = "README.md") -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def run(command: list[str], folder: Path) -> str:
    """Run with this environment's programs first on the path, at home in the folder."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def commands(block: str, verbs: list[str], folder: Path) -> None:
    lines = block.strip().splitlines()
    assert [line.split()[1] for line in lines] == verbs
    for line in lines:
        run(["bash", "-euc", line], folder)


def test_python(tmp_path):
    (block,) = blocks("python")
    printed = run([sys.executable, "-c", block], tmp_path)
    first, second = ast.literal_eval(printed)
    # A row ranks by what its code stands for; of 4 bytes it need not be the very first.
    assert 0 in first
    assert 1 in second
    assert len(first) == len(second) == 5
    assert max(first + second) < 900


@pytest.mark.slow
def test_the_page_for_embeddings(tmp_path):
    page = "docs/embeddings.md"
    (block,) = blocks("python", page)
    assert "Neighbours of 2 queries" in run([sys.executable, "-c", block], tmp_path)
    rows = np.random.default_rng(0).standard_normal((1500, 40)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "queries.npy", rows[:2])
    (tmp_path / "items.h2q").unlink()
    commands(blocks("bash", page)[0], ["fit", "index", "search"], tmp_path)


@pytest.mark.slow
def test_photos(tmp_path):
    pictures = tmp_path / "Pictures"
    rng = np.random.default_rng(0)
    for i in range(40):
        pixels = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        path = pictures / ("cats" if i % 2 else "dogs") / f"{i:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).resize((250, 200), Image.Resampling.BICUBIC).save(path)
    shutil.copy(pictures / "cats" / "01.jpg", tmp_path / "cat.jpg")
    shutil.copy(pictures / "cats" / "03.jpg", pictures / "again.jpg")
    commands(blocks("bash")[0], ["index", "search", "duplicates"], tmp_path)
    assert (tmp_path / "neighbours.png").read_bytes().startswith(b"\x89PNG")
    assert "again.jpg" in (tmp_path / "duplicates.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_research(tmp_path):
    commands(blocks("bash")[1], ["demo", "train", "eval", "info"], tmp_path)
    assert (tmp_path / "build/demo/report.html").stat().st_size > 10_000
    assert list((tmp_path / "build/demo").glob("*.h2q"))


def test_every_page_linked_to_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", text) if not t.startswith("http")]
    assert targets
    assert [t for t in targets if not (ROOT / t).exists()] == []
