"""Penalties by name, and each loss's own."""

from __future__ import annotations

import pytest

from h2q.errors import InvalidInputError
from h2q.learning import losses, penalties


def test_names_and_descriptions():
    assert penalties.names() == ["cauchy", "hswd", "l1", "l2", "log_cosh"]
    assert all(20 < len(penalties.describe(name)) < 110 for name in penalties.names())


def test_typos_name_the_nearest():
    with pytest.raises(InvalidInputError, match="did you mean 'cauchy'"):
        penalties.create("cauchi")
    with pytest.raises(InvalidInputError, match="did you mean 'gamma'"):
        penalties.create("cauchy", gama=1.0)


@pytest.mark.parametrize("name", losses.names())
def test_own_penalty_exists_and_has_a_weight(name):
    own = penalties.own_penalty(name)
    if name in {"adsh", "cel", "hashnet", "hyp2"}:
        assert own is None
    else:
        assert own.weight > 0
        penalties.create(own.name)
