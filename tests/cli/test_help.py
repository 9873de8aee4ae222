from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from h2q import __version__

VERBS = [
    "demo",
    "train",
    "embed",
    "fit",
    "encode",
    "index",
    "search",
    "eval",
    "info",
    "duplicates",
    "backup",
    "compact",
    "export",
    "import",
]


def test_help_names_every_verb_and_exit_code(h2q: Callable[..., Any]) -> None:
    outcome = h2q("--help")
    assert outcome.code == 0
    for word in [*VERBS, "Exit codes", "130", "skipped"]:
        assert word in outcome.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_examples(h2q: Callable[..., Any], verb: str) -> None:
    outcome = h2q(verb, "--help")
    assert outcome.code == 0
    assert "Examples" in outcome.out
    assert f"h2q {verb}" in outcome.out
    assert "[bold]" not in outcome.out


def test_version(h2q: Callable[..., Any]) -> None:
    assert h2q("--version").out == f"h2q {__version__}\n"


def test_no_arguments_show_the_help(h2q: Callable[..., Any]) -> None:
    assert "Start here" in h2q().out


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["search"],
        ["search", "c.h2q"],
        ["search", "c.h2q", "--not", "q.png"],
        ["search", "c.h2q", "q.png", "-k", "0"],
        ["search", "c.h2q", "q.png", "--rank", "best"],
        ["search", "c.h2q", "q.png", "--where", "label"],
        ["eval"],
        ["eval", "x.npz", "--model", "m"],
        ["train", "--out", "run"],
        ["train", "--data", "digits"],
    ],
)
def test_wrong_use_is_2(h2q: Callable[..., Any], args: list[str]) -> None:
    outcome = h2q(*args)
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err


def test_start_up_is_quick_and_imports_nothing_heavy() -> None:
    script = (
        "import sys, time\n"
        "sys.argv = ['h2q', '--help']\n"
        "from h2q.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'faiss', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "print(sorted(heavy), time.process_time(), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    heavy, seconds = done.stderr.strip().rsplit(" ", 1)
    assert heavy == "[]"
    assert float(seconds) < 1.0
