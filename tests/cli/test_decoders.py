"""A decoder from the command line alone: fitted, kept, and searched by."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import h2q as package
from h2q.quantization import fit_decoder

H2Q = Callable[..., Any]
BITS = 16


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = 2 * rng.standard_normal((8, 24))
    return (centres[rng.integers(0, 8, 400)] + rng.standard_normal((400, 24))).astype(np.float32)


@pytest.fixture
def files(rows: np.ndarray, tmp_path: Path) -> Path:
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "query.npy", rows[:3] + np.float32(0.1))
    return tmp_path


def found(h2q: H2Q, folder: Path, name: str, rank: str) -> list[list[str]]:
    outcome = h2q("search", folder / name, folder / "query.npy", "--rank", rank, "-k", 5, "--json")
    assert outcome.code == 0, outcome
    return [[hit["id"] for hit in one["neighbours"]] for one in json.loads(outcome.out)]


@pytest.mark.parametrize(("kind", "rank"), [("code", "decoded"), ("linear", "linear")])
def test_fit_index_and_search_by_a_decoder(
    h2q: H2Q, files: Path, rows: np.ndarray, kind: str, rank: str
) -> None:
    quantizer, decoder = files / "q.safetensors", files / "d.safetensors"
    outcome = h2q("fit", files / "rows.npy", "--bits", BITS, "--out", quantizer, "--decoder", kind,
                  "--decoder-out", decoder, "--json")  # fmt: skip
    assert outcome.code == 0, outcome
    assert json.loads(outcome.out)["decoder_out"] == str(decoder)
    made = fit_decoder(kind, rows, package.load(quantizer), random_state=0)
    assert package.load(decoder).to_bytes() == made.to_bytes()

    by_file, by_name = files / "file.h2q", files / "name.h2q"
    index = ("index", files / "rows.npy", "--quantizer", quantizer, "-c")
    assert h2q(*index, by_file, "--decoder", decoder).code == 0
    assert h2q(*index, by_name, "--decoder", kind).code == 0
    with package.open_collection(by_file) as items:
        assert items.decoder is not None
        assert items.decoder.to_bytes() == made.to_bytes()
        expected = items.search(rows[:3] + np.float32(0.1), 5, rank=rank).ids
    assert found(h2q, files, "file.h2q", rank) == expected
    assert found(h2q, files, "name.h2q", rank) == expected  # the same rows, the same seed
    # The same command goes on; another decoder is refused.
    assert h2q(*index, by_name, "--decoder", kind).code == 0
    other = "linear" if kind == "code" else "code"
    outcome = h2q(*index, by_name, "--decoder", other)
    assert outcome.code == 1, outcome
    assert f"the decoder '{other}' was asked for" in " ".join(outcome.err.split())


def test_what_is_no_decoder_is_refused_before_anything_is_made(h2q: H2Q, files: Path) -> None:
    out, items = files / "q.safetensors", files / "c.h2q"
    outcome = h2q("fit", files / "rows.npy", "-o", out, "--decoder", "best")
    assert outcome.code == 1, outcome
    assert "decoder must be one of code, linear" in outcome.err
    assert not out.exists()
    outcome = h2q("fit", files / "rows.npy", "--quantizer", "local-search", "-b", 8, "-o", out,
                  "--decoder-out", files / "d.safetensors", "--no-error")  # fmt: skip
    assert outcome.code == 1, outcome
    assert "take 'linear'" in " ".join(outcome.err.split())
    assert not out.exists()
    assert h2q("fit", files / "rows.npy", "-b", BITS, "-o", out, "--no-error").code == 0
    index = ("index", files / "rows.npy", "-c", items, "--quantizer", out, "--decoder")
    for decoder, words in [("nowhere", "there is no decoder nowhere"), (out, "decoder")]:
        outcome = h2q(*index, decoder)
        assert outcome.code == 1, outcome
        assert words in " ".join(outcome.err.split())
        assert not items.exists()
