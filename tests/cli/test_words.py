"""One word for one thing: what the command line is called, and what it was called before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from h2q.cli import _words
from h2q.cli._app import app

WORDS = Path(__file__).resolve().parents[2] / "docs" / "words.md"
#: Words that were given up, and where they are still right.
GONE = {"--methods", "--quantizations", "--ranking", "--datasets", "--top", "--max-megapixels"}


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for each, inner in command.commands.items():
            yield from commands(inner, f"{name} {each}".strip())
    else:
        yield name, command


VERBS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_has_a_word_that_was_given_up(verb: str) -> None:
    options = {option for parameter in VERBS[verb].params for option in parameter.opts}
    assert not options & GONE


@pytest.mark.parametrize("verb", VERBS)
def test_a_short_option_means_one_thing(verb: str) -> None:
    meaning = {"-c": "--collection", "-k": None, "-w": "--where", "-o": "--out", "-m": "--model",
               "-b": "--bits", "-j": "--workers", "-d": "--data"}  # fmt: skip
    for parameter in VERBS[verb].params:
        for short in set(parameter.opts) & set(meaning):
            long = [option for option in parameter.opts if option.startswith("--")]
            assert (long[0] if long else None) == meaning[short], (verb, parameter.opts)


def test_every_old_name_is_on_the_page_and_leads_to_an_option_that_exists() -> None:
    page = WORDS.read_text(encoding="utf-8")
    for verb, renamed in _words.RENAMED.items():
        options = {option for parameter in VERBS[verb].params for option in parameter.opts}
        for old, new in renamed.items():
            assert new.name in options, (verb, new.name)
            assert old not in options, (verb, old)
            assert re.search(rf"`[^`]*{re.escape(old)}\b[^`]*`", page), old
            assert re.search(rf"`[^`]*{re.escape(new.name)}\b[^`]*`", page), new.name


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["eval", "a.npz", "--methods", "itq"], ["eval", "a.npz", "--quantizers", "itq"]),
        (["eval", "a.npz", "--methods=itq"], ["eval", "a.npz", "--quantizers=itq"]),
        (["-q", "eval", "--seeds", "3"], ["-q", "eval", "--repeats", "3"]),
        (["index", "x", "--max-megapixels", "2.5"], ["index", "x", "--max-pixels", "2500000"]),
        (["paper", "run", "--top=5"], ["paper", "run", "-k5"]),
        (["paper", "run", "--seeds", "0,1"], ["paper", "run", "--seeds", "0,1"]),
        (["train", "-c", "a.yaml"], ["train", "--config", "a.yaml"]),
        (["search", "-c"], ["search", "-c"]),
        (["eval", "--", "--methods"], ["eval", "--", "--methods"]),
        (["eval", "--methods"], ["eval", "--quantizers"]),
        (["list", "c.h2q", "--quiet"], ["--quiet", "list", "c.h2q"]),
        (["list", "--", "--quiet"], ["list", "--", "--quiet"]),
        ([], []),
    ],
)
def test_old_names_become_the_names_of_today(given: list[str], expected: list[str]) -> None:
    assert _words.modern(given) == expected


def test_an_old_name_works_and_warns(capsys: pytest.CaptureFixture[str]) -> None:
    _words.modern(["eval", "--methods", "itq"])
    assert "--methods is called --quantizers now" in capsys.readouterr().err


def test_parameters_of_before_work_and_warn() -> None:
    import numpy as np

    from h2q.evaluation import evaluate, mean_average_precision

    rows = np.random.default_rng(0).normal(size=(20, 8))
    labels = np.arange(20) % 3
    with pytest.warns(DeprecationWarning, match="'ranking' is called 'rank' now"):
        old = mean_average_precision(rows, rows, labels, labels, ranking="asymmetric")
    assert old == mean_average_precision(rows, rows, labels, labels, rank="asymmetric")
    with pytest.warns(DeprecationWarning, match="'rankings' is called 'ranks' now"):
        assert set(evaluate(rows, rows, labels, labels, rankings=["cosine"]).rankings) == {"cosine"}
    seen: list[tuple[int, int]] = []
    with pytest.warns(DeprecationWarning, match="'progress' is called 'on_progress' now"):
        evaluate(rows, rows, labels, labels, progress=lambda *done: seen.append(done))
    assert seen[-1] == (20, 20)
    with pytest.raises(TypeError, match="alone"):
        mean_average_precision(rows, rows, labels, labels, rank="cosine", ranking="cosine")
