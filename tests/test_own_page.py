"""The page on parts of one's own runs as written: its file, its Python, its commands."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from h2q.cli._app import app
from h2q.errors import InvalidInputError

PAGE = Path(__file__).resolve().parents[1] / "docs" / "own.md"


def blocks(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the page's file, where Python finds it."""
    (tmp_path / "my_parts.py").write_text(blocks("python")[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_parts", None)


def test_the_pages_code_and_commands_run(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from h2q.learning.backbones import own_modules

    monkeypatch.setattr(own_modules, "_trusted", {})
    for block in blocks("python")[1:]:
        names: dict[str, Any] = {}
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102
        if "result" in names:
            result, hasher, data = names["result"], names["hasher"], names["data"]
    rows = hasher.embed_items(data.query)
    assert np.array_equal(rows, result.model.embed_items(data.query))
    assert hasher.backbone.network.width == 8
    config = (beside / "runs/mine/config.yaml").read_text()
    assert "backbone: my_parts:SmallNet" in config
    assert "loss: my_parts:PairLoss" in config

    own_modules._trusted.clear()
    printed = []
    for command in blocks("console"):
        words = shlex.split(command)
        variables = [word.partition("=")[::2] for word in words[: words.index("h2q")]]
        for name, value in variables:
            monkeypatch.setenv(name, value)
        outcome = CliRunner().invoke(app, [*words[words.index("h2q") + 1 :], "--json"])
        assert outcome.exit_code == 0, (outcome.stdout, outcome.stderr, outcome.exception)
        printed.append(json.loads(outcome.stdout))
    assert printed[0]["n_bits"] == 16
    assert "Centred" in json.dumps(printed[1])

    monkeypatch.delenv("H2Q_TRUSTED")
    outcome = CliRunner().invoke(app, ["eval", "--model", "runs/theirs", "--data", "digits"])
    assert isinstance(outcome.exception, InvalidInputError) or outcome.exit_code == 1
    assert "H2Q_TRUSTED=my_parts:SmallNet" in outcome.stderr + str(outcome.exception)
