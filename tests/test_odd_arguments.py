"""Arguments of the wrong kind are refused in our words, whoever takes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import h2q
from h2q.codes import pack
from h2q.datasets import load_dataset
from h2q.errors import InvalidInputError
from h2q.ingest import ingest
from h2q.judging.collections import evaluate_collection
from h2q.judging.quantizers import Split, compare_quantizers
from h2q.quantization import fit_decoder, make_quantizer
from h2q.rowfiles.embeddings import Embeddings
from h2q.rowfiles.registry import get_format

RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((60, 12)).astype(np.float32)
SPLIT = Split(ROWS, RNG.integers(0, 3, 60))
QUANTIZER = h2q.SignQuantizer(8).fit(ROWS)


def _fit(**options: Any) -> Any:
    return h2q.HouseholderQuantizer(8, random_state=0, **options).fit(ROWS)


def _sgd(**options: Any) -> Any:
    return _fit(solver="sgd", solver_options=options)


def _ingest(**options: Any) -> Any:
    return ingest("rows.npy", "new.h2q", **{"n_bits": 8, **options})


def _compare(**options: Any) -> Any:
    return compare_quantizers(SPLIT, SPLIT, SPLIT, n_bits=8, **{"quantizers": ["none"], **options})


def _open(**options: Any) -> Any:
    return h2q.open_collection("new.h2q", **{"n_bits": 8, **options})


def _judged(**options: Any) -> Any:
    with h2q.open_collection("labelled.h2q") as collection:
        return evaluate_collection(collection, **options)


CALLS: dict[str, Callable[[], Any]] = {
    "n_init a text": lambda: _fit(n_init="a"),
    "n_init 1.5": lambda: _fit(n_init=1.5),
    "n_init True": lambda: _fit(n_init=True),
    "solver_options a number": lambda: _fit(solver_options=5),
    "solver_options a list": lambda: _fit(solver_options=[1]),
    "n_epochs a text": lambda: _sgd(n_epochs="a"),
    "learning_rate a text": lambda: _sgd(learning_rate="a"),
    "learning_rate NaN": lambda: _sgd(learning_rate=float("nan")),
    "batch_size 1.5": lambda: _sgd(batch_size=1.5),
    "emphasis a text": lambda: _fit(solver_options={"emphasis": "a"}),
    "max_iter a text": lambda: _fit(solver="procrustes", solver_options={"max_iter": "a"}),
    "name None": lambda: make_quantizer(None, 8),  # type: ignore[arg-type]
    "name bytes": lambda: make_quantizer(b"itq", 8),  # type: ignore[arg-type]
    "decoder of nothing": lambda: fit_decoder("code", None, QUANTIZER),
    "decoder of one row": lambda: fit_decoder("linear", ROWS[0], QUANTIZER),
    "decoder of texts": lambda: fit_decoder("linear", [["a"]], QUANTIZER),
    "format 5": lambda: get_format(5),  # type: ignore[arg-type]
    "ingest format 5": lambda: _ingest(format=5),
    "prefix 5": lambda: _ingest(prefix=5),
    "prefix None": lambda: _ingest(prefix=None),
    "ingest quantizer 5": lambda: _ingest(quantizer=5),
    "ingest quantizer unfitted": lambda: _ingest(quantizer=h2q.SignQuantizer(8)),
    "ingest quantizer a class": lambda: _ingest(quantizer=h2q.SignQuantizer),
    "ingest decoder 5": lambda: _ingest(decoder=5),
    "ingest workers 0": lambda: _ingest(ray="auto", workers=0),
    "ingest workers of nobody": lambda: _ingest(workers=2),
    "ingest batch_size of rows": lambda: _ingest(batch_size=2),
    "ingest device of rows": lambda: _ingest(device="cuda"),
    "ingest max_pixels of rows": lambda: _ingest(max_pixels=5),
    "embeddings without ids": lambda: Embeddings(ROWS, None),  # type: ignore[arg-type]
    "embeddings of fewer ids": lambda: Embeddings(ROWS, [1, 2]),
    "open quantizer 5": lambda: _open(quantizer=5),
    "open decoder 5": lambda: _open(decoder=5),
    "index_options a list": lambda: _open(index="hnsw", index_options=[1]),
    "n_bits True": lambda: _open(n_bits=True),
    "n_bits 8.0": lambda: _open(n_bits=8.0),
    "seeds 5": lambda: _compare(seeds=5),
    "seeds a text": lambda: _compare(seeds="12"),
    "quantizers 5": lambda: _compare(quantizers=5),
    "quantizers None in a list": lambda: _compare(quantizers=[None]),
    "ranks 5": lambda: _compare(ranks=5),
    "n_queries 1.5": lambda: _judged(n_queries=1.5),
    "n_queries a text": lambda: _judged(n_queries="a"),
    "random_state of judging": lambda: _judged(random_state="a"),
    "random_state of data": lambda: load_dataset("digits", random_state="a"),  # type: ignore[arg-type]
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", ROWS)
    with h2q.open_collection("labelled.h2q", n_bits=12) as collection:
        labels = [{"label": str(label)} for label in SPLIT.labels]
        collection.add(range(60), pack(ROWS), labels)
    return tmp_path


@pytest.mark.parametrize("call", CALLS)
def test_it_is_refused_and_nothing_is_made(here: Path, call: str):
    with pytest.raises(InvalidInputError):
        CALLS[call]()
    assert not (here / "new.h2q").exists()


def test_rows_of_an_open_collection_are_coded_by_its_own_quantizer_alone(here: Path):
    others = h2q.ITQQuantizer(8, random_state=0).fit(ROWS)
    with h2q.open_collection("own.h2q", quantizer=QUANTIZER) as collection:
        with pytest.raises(h2q.errors.CompatibilityError, match="made with the quantizer"):
            ingest("rows.npy", collection, quantizer=others)
        with pytest.raises(h2q.errors.CompatibilityError, match="made with the quantizer"):
            ingest(Embeddings(ROWS, range(60)), collection, quantizer=others)
        assert len(collection) == 0
        assert ingest("rows.npy", collection, quantizer=QUANTIZER).added == 60
