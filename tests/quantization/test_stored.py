from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from h2q import HouseholderQuantizer, ITQQuantizer, RandomRotationQuantizer, open_collection
from h2q.errors import FormatError, InvalidInputError
from h2q.quantization.base import BaseQuantizer
from h2q.quantization.stored import StoredQuantizer, stored_quantizer


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(200, 24)).astype(np.float32)


@pytest.mark.parametrize("bits", [24, 16])
@pytest.mark.parametrize("kind", [HouseholderQuantizer, ITQQuantizer, RandomRotationQuantizer])
def test_it_codes_as_the_estimator_does(rows: np.ndarray, kind: type, bits: int) -> None:
    fitted = kind(bits, random_state=0).fit(rows)
    stored = stored_quantizer(fitted.to_bytes())
    assert type(stored) is StoredQuantizer
    np.testing.assert_array_equal(stored.transform(rows), fitted.transform(rows))
    np.testing.assert_array_equal(stored.rotate(rows), fitted.rotate(rows))
    assert stored.to_bytes() == fitted.to_bytes()
    assert (stored.n_bits_, stored.n_features_in_) == (bits, 24)
    with pytest.raises(InvalidInputError, match="24 features"):
        stored.rotate(rows[:, :5])
    with pytest.raises(InvalidInputError, match="NaN"):
        stored.transform(np.full((1, 24), np.nan, np.float32))


def test_it_is_the_estimator_to_whoever_asks(rows: np.ndarray) -> None:
    fitted = HouseholderQuantizer(16, random_state=0).fit(rows)
    stored = stored_quantizer(fitted.to_bytes())
    assert isinstance(stored, HouseholderQuantizer)
    assert isinstance(stored, BaseQuantizer)
    assert not isinstance(stored, ITQQuantizer)
    assert repr(stored) == repr(fitted)
    assert stored.get_params() == fitted.get_params()
    assert stored.n_samples_seen_ == 200
    for twin in (copy.deepcopy(stored), pickle.loads(pickle.dumps(stored))):
        np.testing.assert_array_equal(twin.transform(rows), fitted.transform(rows))
    fresh = clone(stored).fit(rows)
    np.testing.assert_array_equal(fresh.transform(rows), fitted.transform(rows))
    with pytest.raises(AttributeError, match="nothing"):
        stored.nothing  # noqa: B018


def test_damaged_bytes_are_refused(rows: np.ndarray) -> None:
    data = HouseholderQuantizer(16, random_state=0).fit(rows).to_bytes()
    for cut in (b"", data[:40], data[:-8]):
        with pytest.raises(FormatError, match="stored quantizer"):
            stored_quantizer(cut)


def test_a_search_imports_neither_scikit_learn_nor_scipy(rows: np.ndarray, tmp_path: Path) -> None:
    fitted = HouseholderQuantizer(16, random_state=0).fit(rows)
    uri = str(tmp_path / "c.h2q")
    with open_collection(uri, quantizer=fitted) as collection:
        collection.add(range(200), fitted.transform(rows))
    lines = (
        "import sys, numpy as np, h2q\n"
        f"with h2q.open_collection({uri!r}, mode='r') as c:\n"
        "    row = np.random.default_rng(0).normal(size=(1, 24)).astype(np.float32)\n"
        "    print(c.search(row, 1).ids)\n"
        "print([m for m in ('sklearn', 'scipy', 'torch', 'pandas') if m in sys.modules])\n"
    )
    run = [sys.executable, "-c", lines]
    printed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert printed == "[[0]]\n[]\n"
