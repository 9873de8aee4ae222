"""Losses by name."""

from __future__ import annotations

import pytest

from h2q.errors import InvalidInputError
from h2q.learning import losses


def test_every_loss_of_the_paper_is_there():
    assert losses.names() == [
        "adsh",
        "cel",
        "dch",
        "dhn",
        "dpsh",
        "dsh",
        "hashnet",
        "hyp2",
        "wglhh",
    ]


@pytest.mark.parametrize("name", losses.names())
def test_description_is_one_line(name):
    line = losses.describe(name)
    assert 20 < len(line) < 100
    assert "\n" not in line


@pytest.mark.parametrize(
    ("typed", "meant"), [("dcg", "dch"), ("cell", "cel"), ("hashnt", "hashnet")]
)
def test_a_typo_names_the_nearest(typed, meant):
    with pytest.raises(InvalidInputError, match=f"did you mean '{meant}'"):
        losses.create(typed, n_bits=8, n_classes=2)
    with pytest.raises(InvalidInputError, match=f"did you mean '{meant}'"):
        losses.describe(typed)


def test_a_name_like_no_other_lists_all():
    with pytest.raises(InvalidInputError, match="known: adsh, cel, dch"):
        losses.create("zzzz", n_bits=8, n_classes=2)


def test_spelling_of_case_and_power():
    assert isinstance(losses.create("HyP²", n_bits=8, n_classes=2), losses.HyP2Loss)
    assert isinstance(losses.create("HashNet", n_bits=8, n_classes=2), losses.HashNetLoss)


def test_options_reach_the_loss():
    assert losses.create("dch", n_bits=8, n_classes=2, gamma=3.0).gamma == 3.0


def test_unknown_option_names_the_nearest():
    with pytest.raises(InvalidInputError, match="did you mean 'gamma'"):
        losses.create("dch", n_bits=8, n_classes=2, gama=3.0)
    with pytest.raises(InvalidInputError, match="it takes: none"):
        losses.create("dpsh", n_bits=8, n_classes=2, gamma=3.0)
