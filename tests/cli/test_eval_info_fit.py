from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import h2q as package
from h2q.evaluation import mean_average_precision
from h2q.rowfiles import load_embeddings

H2Q = Callable[..., Any]


def test_eval_of_embeddings_is_the_evaluation_of_the_library(h2q: H2Q, demo: Path) -> None:
    path = demo / "embeddings.npz"
    outcome = h2q("eval", path, "--quantizers", "none,itq,h2q", "-k", 100, "--json")
    assert outcome.code == 0, outcome
    table = json.loads(outcome.out)
    parts = {name: load_embeddings(path).part(name) for name in ("train", "query", "database")}
    query, database = parts["query"], parts["database"]
    itq = package.ITQQuantizer(random_state=0).fit(parts["train"].rows)
    for ranking in ("hamming", "asymmetric", "embedding"):
        expected = mean_average_precision(
            itq.rotate(query.rows),
            itq.rotate(database.rows),
            query.labels,
            database.labels,
            rank=ranking,
            k=100,
        )
        assert table["quantizers"]["itq"][ranking]["mean"] == pytest.approx(expected, abs=1e-6)
    bound = mean_average_precision(
        query.rows, database.rows, query.labels, database.labels, rank="cosine", k=100
    )
    assert table["cosine_bound"] == pytest.approx(bound, abs=1e-6)
    assert table["metric"] == "mAP@100"


def test_eval_takes_the_rows_of_an_npz_by_any_name(h2q: H2Q, tmp_path: Path) -> None:
    labels = np.arange(200) % 4
    rows = np.eye(4, 8, dtype=np.float32)[labels] + np.float32(0.01)
    np.savez(tmp_path / "rows.npz", embeddings=rows, labels=labels)
    np.savez(tmp_path / "named.npz", features=rows, labels=labels)
    said = [
        json.loads(h2q("eval", tmp_path / name, "--quantizers", "none", "--json").out)["quantizers"]
        for name in ("rows.npz", "named.npz")
    ]
    assert said[0] == said[1]


def test_eval_table_shows_the_spread(h2q: H2Q, demo: Path) -> None:
    outcome = h2q("eval", demo / "embeddings.npz", "--repeats", 2, "--bits", 12)
    assert outcome.code == 0, outcome
    assert "12 bits" in outcome.out
    assert outcome.out.count("±") >= 4 * 5
    for words in ("none (sign)", "random rotation", "ITQ", "H²Q (graduated)", "cosine (bound)"):
        assert words in outcome.out


def test_eval_of_a_model_equals_that_of_its_embeddings(h2q: H2Q, demo: Path) -> None:
    by_file = json.loads(h2q("eval", demo / "embeddings.npz", "--quantizers", "itq", "--json").out)
    outcome = h2q("eval", "--model", demo / "run", "--quantizers", "itq", "--json")
    assert outcome.code == 0, outcome
    by_model = json.loads(outcome.out)
    assert by_model["cosine_bound"] == pytest.approx(by_file["cosine_bound"], abs=1e-5)
    assert by_model["query"] == by_file["query"] == 180


def test_eval_of_a_collection(h2q: H2Q, demo: Path, tmp_path: Path) -> None:
    outcome = h2q("eval", demo / "digits.h2q", "--queries", 100, "--json")
    assert outcome.code == 0, outcome
    found = json.loads(outcome.out)
    assert (found["n_queries"], found["n_database"]) == (100, 439)
    assert 0.3 < found["rankings"]["hamming"]["mAP"] <= 1
    with package.open_collection(tmp_path / "bare.h2q", n_bits=8) as collection:
        collection.add(["a", "b"], np.zeros((2, 1), np.uint8))
    outcome = h2q("eval", tmp_path / "bare.h2q")
    assert outcome.code == 1
    assert "0 of 2 items have a label" in outcome.err


def test_eval_refuses_what_it_would_not_use(h2q: H2Q, tmp_path: Path) -> None:
    rows, items = tmp_path / "rows.npz", tmp_path / "items.h2q"
    labels = np.arange(60) % 3
    np.savez(rows, features=np.eye(3, 8)[labels] + 0.01, labels=labels)
    with package.open_collection(items, n_bits=8) as collection:
        codes = np.arange(60, dtype=np.uint8)[:, None]
        collection.add(range(60), codes, [{"label": str(each)} for each in labels])
    assert h2q("eval", items, "--queries", 10).code == 0
    given = {"ranks": "hamming", "quantizers": "none,random,itq,h2q", "bits": 8, "repeats": 1,
             "key": "rows"}  # fmt: skip
    for option, value in given.items():
        outcome = h2q("eval", items, f"--{option}", value)
        assert outcome.code == 2, outcome
        assert "is for embeddings or a model" in outcome.err
        assert f"--{option}" in outcome.err
    assert h2q("eval", rows, "--quantizers", "none").code == 0
    outcome = h2q("eval", rows, "--quantizers", "none", "--queries", 500)
    assert outcome.code == 2
    assert "--queries" in outcome.err
    assert "is for a collection" in outcome.err


def test_help_of_eval_names_every_quantizer(h2q: H2Q) -> None:
    said = h2q("eval", "--help").out
    for name in package.quantization.QUANTIZERS:
        assert name in said


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["eval", "none.npz"], "neither"),
        (["eval", "EMB", "--quantizers", "itg"], "did you mean 'itq'"),
        (["eval", "EMB", "--key", "z"], "'z'"),
        (["eval", "EMB", "--bits", "99"], "99"),
        (["fit", "EMB", "--out", "OUT", "--solver", "grad"], "graduated"),
        (["fit", "EMB", "--out", "OUT", "--quantizer", "h3q"], "h2q"),
        (["fit", "EMB", "--out", "OUT", "--split", "test"], "no rows in the split 'test'"),
        (["fit", "none.npy", "--out", "OUT"], "none.npy"),
        (["encode", "EMB", "--quantizer", "EMB", "--out", "OUT"], "safetensors"),
        (["encode", "EMB", "--quantizer", "none", "--out", "OUT"], "there is no quantizer"),
        (["info", "none"], "there is no none"),
        (["train", "--data", "digit", "--backbone", "digits-cnn", "--out", "OUT"], "digits"),
        (["train", "--data", "digits", "--out", "OUT"], "choose a backbone"),
        (["train", "--data", "digits", "--out", "OUT", "--set", "epoch=3"], "epochs"),
        (["train", "--config", "none.yaml", "--out", "OUT"], "none.yaml"),
    ],
)
def test_errors_are_one_clear_line(
    h2q: H2Q, demo: Path, tmp_path: Path, args: list[str], words: str
) -> None:
    places = {"EMB": demo / "embeddings.npz", "OUT": tmp_path / "out"}
    outcome = h2q(*[places.get(arg, arg) for arg in args])
    assert outcome.code == 1, outcome
    assert outcome.err.startswith("error: ")
    assert words in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""


def test_rows_with_nan_are_an_error(h2q: H2Q, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((50, 8))
    rows[7, 3] = np.nan
    np.save(tmp_path / "nan.npy", rows)
    outcome = h2q("fit", tmp_path / "nan.npy", "--out", tmp_path / "q.safetensors")
    assert outcome.code == 1
    assert "7" in outcome.err
    assert not (tmp_path / "q.safetensors").exists()


def test_truncated_files_are_an_error(h2q: H2Q, demo: Path, tmp_path: Path) -> None:
    for name in ("run/model.safetensors", "embeddings.npz", "digits.h2q"):
        data = (demo / name).read_bytes()
        cut = tmp_path / Path(name).name
        cut.write_bytes(data[: len(data) // 2])
        outcome = h2q("info", cut)
        assert outcome.code == 1, (name, outcome)
        assert "error: " in outcome.err


def test_a_folder_that_cannot_be_written_is_an_error(h2q: H2Q, demo: Path) -> None:
    outcome = h2q("fit", demo / "embeddings.npz", "--out", "/proc/none/q.safetensors")
    assert outcome.code == 1
    assert "/proc/none" in outcome.err


@pytest.mark.parametrize("solver", ["graduated", "procrustes", "sgd"])
def test_fit_writes_what_the_library_fits(h2q: H2Q, tmp_path: Path, solver: str) -> None:
    rows = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    out = tmp_path / "q.safetensors"
    outcome = h2q("fit", tmp_path / "rows.npy", "--out", out, "--solver", solver, "--seed", 3)
    assert outcome.code == 0, outcome
    expected = package.HouseholderQuantizer(solver=solver, random_state=3).fit(rows)
    np.testing.assert_array_equal(package.load(out).transform(rows), expected.transform(rows))


def test_info(h2q: H2Q, demo: Path, tmp_path: Path) -> None:
    kinds = {
        "digits.h2q": "collection",
        "embeddings.npz": "embeddings",
        "run": "run",
        "run/model.safetensors": "model",
        "photos": "folder",
    }
    for name, kind in kinds.items():
        outcome = h2q("info", demo / name, "--json")
        assert outcome.code == 0, outcome
        assert json.loads(outcome.out)["kind"] == kind
        assert kind in h2q("info", demo / name).out
    facts = json.loads(h2q("info", demo / "digits.h2q", "--json").out)
    assert facts["n_bits"] == 16
    assert facts["count"] == 539
    run = json.loads(h2q("info", demo / "run", "--json").out)
    assert run["finished"] is True
    assert run["epochs"] == 4
    outcome = h2q("info", __file__)
    assert outcome.code == 1
    assert "nothing h2q knows" in outcome.err


def test_train_lists(h2q: H2Q) -> None:
    assert "cel" in h2q("train", "--list", "losses").out
    assert "local-dir:PATH" in h2q("train", "--list", "backbones").out
    names = [each["name"] for each in json.loads(h2q("train", "--list", "datasets", "--json").out)]
    assert "digits" in names
    assert "folder:PATH" in names
