"""Rows to fit quantizers on."""

import numpy as np
import pytest

from h2q import HouseholderQuantizer, ITQQuantizer, RandomRotationQuantizer, SignQuantizer

QUANTIZERS = [SignQuantizer, RandomRotationQuantizer, ITQQuantizer, HouseholderQuantizer]


@pytest.fixture(params=QUANTIZERS, ids=lambda quantizer: quantizer.__name__)
def quantizer_class(request):
    return request.param


@pytest.fixture
def rows():
    """Rows (300, 12) whose columns are dependent and unequal, away from the origin."""
    rng = np.random.default_rng(0)
    return rng.laplace(size=(300, 12)) @ rng.standard_normal((12, 12)) + 0.5
