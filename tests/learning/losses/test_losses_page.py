"""The code of docs/losses.md runs as it stands."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import torch

PAGE = Path(__file__).resolve().parents[3] / "docs" / "losses.md"


def test_the_pages_code_runs(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 3
    labels = torch.eye(10).repeat(2, 1)
    names = {"embeddings": torch.randn(20, 64), "labels": labels}
    for block in blocks:
        (tmp_path / "block.py").write_text(block, encoding="utf-8")
        names = runpy.run_path(str(tmp_path / "block.py"), init_globals=names)
        assert names["loss"](names["embeddings"], labels).isfinite()
