"""One table of quantizers, and classes of one's own by module:Class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import h2q
from h2q.errors import FormatError, InvalidInputError
from h2q.judging import Split, compare_quantizers
from h2q.quantization import QUANTIZERS, SignQuantizer, load, make_quantizer

OWN = "tests.quantization.my_quantizer:MyQuantizer"


@pytest.mark.parametrize("name", QUANTIZERS)
def test_every_name_makes_a_quantizer_that_fits_and_comes_back(name: str, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((60, 8))
    quantizer = make_quantizer(name, 4, random_state=0).fit(rows)
    assert quantizer.n_bits_ == 4
    quantizer.save(tmp_path / "q.safetensors")
    again = h2q.load(tmp_path / "q.safetensors")
    assert type(again) is QUANTIZERS[name].estimator
    np.testing.assert_array_equal(again.transform(rows), quantizer.transform(rows))


def test_words_and_options() -> None:
    assert isinstance(make_quantizer("sign"), SignQuantizer)
    assert make_quantizer("h2q", 8, solver="sgd").solver == "sgd"
    assert make_quantizer("h2q-procrustes").solver == "procrustes"
    with pytest.raises(InvalidInputError, match=r"'itq' takes no 'solver'.*max_iter"):
        make_quantizer("itq", solver="sgd")
    with pytest.raises(InvalidInputError, match="did you mean 'itq'"):
        make_quantizer("itk")


def test_a_class_of_ones_own_is_judged() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 120)
    rows = rng.standard_normal((3, 8))[labels] + 0.5 * rng.standard_normal((120, 8))
    parts = [Split(rows[part], labels[part]) for part in (slice(60), slice(60, 80), slice(80, 120))]
    found = compare_quantizers(*parts, quantizers=["none", OWN])
    none, own = (scores.mean_average_precision for scores in found.quantizers)
    assert found.quantizers[1].title == "MyQuantizer"
    # Turning a column round on both sides changes no distance.
    assert own["hamming"] == none["hamming"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tests.quantization.my_quantizer:HalfQuantizer", "lacks transform, rotate"),
        ("tests.quantization.my_quantizer:OWN", "cannot be imported"),
        ("tests.quantization.my_quantizer:np", "is no class|lacks"),
        ("no_such_package.module:Quantizer", "cannot be imported"),
        (":Quantizer", "cannot be imported"),
    ],
)
def test_what_is_no_quantizer_is_named(name: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make_quantizer(name)


def test_quantization_knows_nothing_of_models(tmp_path: Path) -> None:
    from h2q.learning import Hasher

    path = tmp_path / "model.safetensors"
    Hasher("digits-cnn", 8).save(path)
    assert isinstance(h2q.load(path), Hasher)
    with pytest.raises(FormatError, match="'hasher', not a quantizer"):
        load(path)
