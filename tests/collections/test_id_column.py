"""Ids in memory come back as they were given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2q.collections.embedded.table import IdColumn

IDS = (
    st.integers(-(2**63), 2**63 - 1) | st.text(max_size=6) | st.sampled_from(["", "a\0b", "1", "ü"])
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(IDS, max_size=8), max_size=6), st.data())
def test_ids_come_back_as_given(blocks, data):
    column = IdColumn()
    for block in blocks:
        column = column.extended(block)
    ids = [item_id for block in blocks for item_id in block]
    assert len(column) == len(ids)
    positions = data.draw(st.lists(st.integers(0, len(ids) - 1))) if ids else []
    asked = np.array(positions, dtype=np.int64)
    wanted = [ids[i] for i in positions]
    for column_asked in (column.at(asked), column.taken(asked).at(np.arange(len(asked)))):
        assert column_asked == wanted
        assert [type(i) for i in column_asked] == [type(i) for i in wanted]
    packed = column.taken(asked).packed()
    assert packed.at(np.arange(len(asked))) == wanted
    assert len(packed.arrays().text) == sum(len(i.encode()) for i in wanted if isinstance(i, str))


@pytest.mark.parametrize("ids", [list(range(5)), ["a", "bc", ""], [1, "1", -1, "x"]])
def test_arrays_hold_all_there_is(ids):
    column = IdColumn()
    column = column.extended(ids)
    for array in column.arrays():
        array.flags.writeable = False
    again = IdColumn(column.arrays())
    again = again.extended(["later", 7])
    assert again.at(np.arange(len(ids) + 2)) == [*ids, "later", 7]
    assert column.at(np.arange(len(ids))) == ids
