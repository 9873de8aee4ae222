"""The examples in the docstrings run and give what they say."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module", ["average_precision", "code_statistics", "quantization_error", "report"]
)
def test_examples(module):
    failed, attempted = doctest.testmod(importlib.import_module(f"h2q.evaluation.{module}"))
    assert attempted > 0
    assert failed == 0
