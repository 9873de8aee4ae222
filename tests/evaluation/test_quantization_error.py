"""The errors are those of the objectives, and of the quantizers."""

from __future__ import annotations

import numpy as np
import pytest

from h2q import ITQQuantizer
from h2q.codes import pack
from h2q.errors import InvalidInputError
from h2q.evaluation import quantization_errors
from h2q.quantization.objectives import OBJECTIVES


def test_against_the_objectives() -> None:
    rows = np.random.default_rng(0).standard_normal((20_000, 24))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True) * np.sqrt(24)
    got = quantization_errors(rows * 7)
    assert got.l1 == pytest.approx(float(OBJECTIVES["l1"].value(unit)), rel=1e-9)
    assert got.l2 == pytest.approx(float(OBJECTIVES["l2"].value(unit)), rel=1e-9)
    assert got.l2 == pytest.approx(2 * (1 - np.abs(unit).mean()), rel=1e-9)


def test_against_a_quantizer() -> None:
    rows = np.random.default_rng(1).standard_normal((2000, 16))
    itq = ITQQuantizer(random_state=0).fit(rows)
    errors = quantization_errors(itq.rotate(rows))
    assert errors.l2 == pytest.approx(itq.quantization_error(rows), rel=1e-6)
    assert errors.l2 < quantization_errors(rows).l2


def test_codes_themselves_have_none() -> None:
    signs = np.where(np.random.default_rng(2).random((50, 12)) < 0.5, -1.0, 1.0)
    assert quantization_errors(signs).to_dict() == pytest.approx({"l1": 0, "l2": 0})


def test_bad_input() -> None:
    rows = np.ones((3, 8))
    with pytest.raises(InvalidInputError, match="real rows"):
        quantization_errors(pack(rows))
    with pytest.raises(InvalidInputError, match="NaN"):
        quantization_errors(rows * np.nan)
