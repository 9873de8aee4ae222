"""Foreign ids are text or whole numbers, or the row is named."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from h2q.errors import InvalidInputError
from h2q.rowfiles.ids import ids_as_array, read_ids


@pytest.mark.parametrize(
    ("given", "want"),
    [
        (["a", "б"], ["a", "б"]),
        (np.array(["a", "bc"]), ["a", "bc"]),
        (np.array([b"a", "é".encode()]), ["a", "é"]),
        ([b"a", bytearray(b"b")], ["a", "b"]),
        (np.array([3, -1], np.int8), [3, -1]),
        (np.array([3, 2**63 - 1], np.uint64), [3, 2**63 - 1]),
        (np.array([3, 7], ">i4"), [3, 7]),
        (np.array([3.0, 7.0]), [3, 7]),
        ([np.int64(3), np.str_("x"), "7", 7], [3, "x", "7", 7]),
        ([uuid.UUID(int=5)], ["00000000-0000-0000-0000-000000000005"]),
        ([], []),
    ],
)
def test_what_is_an_id(given: Any, want: list[Any]) -> None:
    found = read_ids(given, "t")
    assert found == want
    assert [type(each) for each in found] == [type(each) for each in want]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a", None], "t: row 11 has no id"),
        ([1.0, float("nan")], "t: row 11 has no id"),
        (np.array(["2024-01-01", "NaT"], "M8[D]"), "row 10: the id .*date"),
        ([datetime.datetime(2024, 1, 1)], "row 10.*datetime"),
        (["a", True], "row 11: the id True is a bool"),
        (np.array([True, False]), "is a bool"),
        (np.array([0.5]), "the id 0.5 is a float"),
        ([float("inf")], "is a float"),
        ([2.0**60], "is a float"),
        ([Decimal(1)], "is a Decimal"),
        ([["a"]], "is a list"),
        ([b"\xff"], "bytes that are no text"),
        (np.array([2**63], np.uint64), "does not fit 64 bits"),
        ([10**30], "does not fit 64 bits"),
        (np.zeros((2, 2), int), r"shape \(2, 2\)"),
        (np.array(5), r"shape \(\)"),
    ],
)
def test_what_is_none_is_named_by_its_row(given: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_ids(given, "t", start=10)


def test_ids_of_both_kinds_are_no_array() -> None:
    assert ids_as_array([1, 2]).dtype == np.int64
    assert ids_as_array(["1"]).tolist() == ["1"]
    assert ids_as_array([]).shape == (0,)
    with pytest.raises(InvalidInputError, match="all int or all str"):
        ids_as_array([1, "1"])
