from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from h2q.cli._app import app
from h2q.experiments import write_results
from h2q.experiments.results import Result


@pytest.fixture
def stored(tmp_path: Path, small_run: list[Result]) -> str:
    return str(write_results(tmp_path / "results.parquet", small_run))


def call(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["paper", *words])
    return result.exit_code, result.output


def test_a_table_goes_to_stdout_or_to_a_file(stored: str, tmp_path: Path) -> None:
    code, text = call("table", stored)
    assert code == 0
    assert "### cifar10, alexnet" in text
    code, _ = call("table", stored, "--format", "latex", "--out", str(tmp_path / "t.tex"))
    assert code == 0
    assert r"\begin{tabular}" in (tmp_path / "t.tex").read_text()


def test_figures_and_report_are_written(stored: str, tmp_path: Path) -> None:
    code, _ = call("figures", stored, "--out", str(tmp_path / "figures"))
    assert code == 0
    assert {p.suffix for p in (tmp_path / "figures").iterdir()} == {".svg", ".pdf"}
    code, _ = call("report", stored, "--out", str(tmp_path / "report.html"))
    assert code == 0
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_list_names_grids_and_quantizations() -> None:
    code, text = call("list")
    assert code == 0
    assert "frozen" in text
    assert "h2q-minentry" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["table", "absent.parquet"], "there is no"),
        (["run", "--grid", "digitz", "--out", "x"], "did you mean 'digits'"),
        (["run", "--bits", "many", "--out", "x"], "expected numbers"),
        (["run", "--quantizers", "h3q", "--out", "x"], "did you mean 'h2q'"),
        (["status", "."], "no folder of a run"),
    ],
)
def test_mistakes_are_one_line_that_helps(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text = call(*words)
    assert code == 1
    assert says in " ".join(text.split())
    assert not (tmp_path / "x").exists()


def test_run_status_and_table_end_to_end(tmp_path: Path) -> None:
    pytest.importorskip("lightning", reason="training needs the extra 'train'")
    out = str(tmp_path / "run")
    options = ["--losses", "cel", "--bits", "8", "--seeds", "0", "--epochs", "1"]
    code, text = call("run", *options, "--quantizers", "none,h2q", "--out", out, "--json")
    assert code == 0, text
    assert json.loads(text.splitlines()[-1])["done"] == 1
    assert "1 of 1 jobs done, 0 running, 0 failed" in call("status", out)[1]
    assert "| cel | none |" in call("table", out)[1]
