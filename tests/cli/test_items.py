from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest

from h2q import _progress, open_collection
from h2q.cli import _console
from h2q.cli._where import parse_where
from tests.cli.conftest import Run


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    uri = tmp_path / "c.h2q"
    with open_collection(uri, n_bits=16) as opened:
        codes = np.arange(12, dtype=np.uint8).reshape(6, 2)
        taken = [f"20{20 + i}-0{1 + i}-05T10:00:00" for i in range(5)]
        payloads = [{"taken": each, "label": "写真 🐈"} for each in taken] + [None]
        opened.add(["a", "b", "c", "d", "e é", 7], codes, payloads)
    return uri


def test_list(h2q: Run, collection: Path) -> None:
    assert h2q("list", collection).out.splitlines() == ["a", "b", "c", "d", "e é", "7"]
    assert h2q("list", collection, "-n", 2).out.splitlines() == ["a", "b"]
    found = h2q("list", collection, "--where", "taken>=2023-02", "--json").out.splitlines()
    assert [json.loads(line)["id"] for line in found] == ["d", "e é"]
    assert json.loads(found[0])["payload"]["label"] == "写真 🐈"


def test_a_year_is_a_number_and_the_beginning_of_a_date(h2q: Run, collection: Path) -> None:
    assert h2q("list", collection, "-w", "taken>=2023").out.splitlines() == ["d", "e é"]
    assert h2q("list", collection, "-w", "taken<2021").out.splitlines() == ["a"]
    with open_collection(collection) as opened:
        opened.add(["n"], np.zeros((1, 2), np.uint8), [{"taken": 2030}])
        assert opened.count(parse_where(["taken>=2024"])) == 2


def test_get(h2q: Run, collection: Path) -> None:
    (item,) = json.loads(h2q("get", collection, "b", "--json").out)
    assert item["id"] == "b"
    assert item["code"] == "0203"
    assert json.loads(h2q("get", collection, "7", "--json").out)[0]["id"] == 7
    assert "写真 🐈" in h2q("get", collection, "a").out
    missing = h2q("get", collection, "none")
    assert missing.code == 1
    assert "holds no item 'none'" in missing.err


def test_delete(h2q: Run, collection: Path) -> None:
    assert h2q("delete", collection, "a", "7").out.startswith("2 deleted")
    assert h2q("delete", collection, "none", "b").code == 1  # nothing is deleted then
    assert h2q("list", collection).out.splitlines() == ["b", "c", "d", "e é"]
    done = h2q("delete", collection, "-w", "taken<2022-09", "--json")
    assert json.loads(done.out)["deleted"] == 2
    assert h2q("delete", collection).code == 2
    assert h2q("delete", collection, "d", "-w", "label=x").code == 2


def test_a_field_that_no_item_has_is_named(h2q: Run, collection: Path) -> None:
    for condition in ("lable=x", '{"$or": [{"lable": "x"}]}'):
        outcome = h2q("list", collection, "--where", condition)
        assert (outcome.code, outcome.out) == (0, "")
        assert "no item has a field 'lable'; did you mean 'label'? (fields: label, taken)" in (
            " ".join(outcome.err.split())
        )
    assert h2q("list", collection, "--where", "label=x").err == ""
    assert "'lable'" in h2q("delete", collection, "--where", "lable=x").err
    assert "'lable'" in h2q("duplicates", collection, "--where", "lable=x").err
    odd = h2q("list", collection, "--where", '{"taken": {"$gt": 2020}}').err
    assert "the field 'taken' holds text, and is compared with numbers (2020)" in odd
    assert h2q("list", collection, "--where", "taken>2999").err == ""
    assert "compares with nothing" in h2q("list", collection, "--where", "taken>").err


def test_a_name_that_is_no_utf8(h2q: Run, tmp_path: Path) -> None:
    uri = tmp_path / "c.h2q"
    with open_collection(uri, n_bits=8) as opened:
        opened.add(["caf\\xe9.jpg", "b"], np.array([[1], [2]], dtype=np.uint8))
    given = os.fsdecode(b"caf\xe9.jpg")
    assert "caf\\xe9.jpg" in h2q("get", uri, given).out
    assert "b" in h2q("search", uri, given).out
    assert h2q("search", uri, "b", "--not", given).code == 0
    missing = h2q("get", uri, os.fsdecode(b"\xff"))
    assert (missing.code, missing.err.strip()[-6:]) == (1, "'\\xff'")
    assert h2q("delete", uri, given).code == 0
    assert h2q("list", uri, "--quiet").out == "b\n"


def test_a_collection_that_is_not_there(h2q: Run, collection: Path) -> None:
    meant = h2q("list", collection.with_suffix("")).err
    assert f"did you mean {collection}?" in " ".join(meant.split())
    other = h2q("search", collection.with_name("quite-another"), "a").err
    assert other.strip().endswith("there is c.h2q")


def test_empty_is_said(h2q: Run, tmp_path: Path) -> None:
    open_collection(tmp_path / "c.h2q", n_bits=8).close()
    assert "is empty" in h2q("list", tmp_path / "c.h2q").err


def test_progress_of_one_long_item(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_progress, "_FIRST_LINE", 0.1)
    monkeypatch.setattr(_progress, "_LOOK", 0.02)
    err = ""
    with _console.progress("jobs") as advance:
        advance(0, 1)
        give_up = time.monotonic() + 30
        while err.count("\n") < 2 and time.monotonic() < give_up:  # nothing more is told
            time.sleep(0.05)
            err += capsys.readouterr().err
    assert re.fullmatch(r"(jobs: 0 of 1 after \d+ s\n){2,}", err)
    with _console.progress("looking"):
        time.sleep(0.3)
    assert "looking: at work after 0 s\n" in capsys.readouterr().err


def test_progress_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    with _console.progress("indexing") as advance:
        for done in range(0, 10_001, 10):
            now[0] = done / 10
            advance(done, 10_000)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "indexing: 100 of 10,000 after 10 s, about 16 min 30 s to go"
    assert 10 < len(lines) < 25
    with _console.progress("looking") as advance:
        advance(5, 10)
        now[0] += 20  # of the first stage nothing was said; another begins
        advance(0, 10)
        assert capsys.readouterr().err == ""
        now[0] += 20
        advance(4, 10)
    assert capsys.readouterr().err == "looking: 4 of 10 after 20 s, about 30 s to go\n"
    _console.set_quiet(True)
    try:
        now[0] = 0.0
        with _console.progress("indexing") as advance:
            now[0] = 500.0
            advance(1, 2)
    finally:
        _console.set_quiet(False)
    assert capsys.readouterr().err == ""
