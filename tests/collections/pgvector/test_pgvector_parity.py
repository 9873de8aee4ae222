"""The same codes and queries give the same answers in a file and in PostgreSQL."""

from __future__ import annotations

import pytest

from h2q.collections import open_collection
from tests.collections.parity import N_BITS, N_QUERIES, check_parity, fill, parity_codes


@pytest.mark.slow
def test_parity_with_the_embedded_collection(server, tmp_path):
    codes = parity_codes()
    with (
        open_collection(tmp_path / "reference.h2q", n_bits=N_BITS) as reference,
        open_collection(server.new_address(), n_bits=N_BITS) as collection,
    ):
        fill(reference, codes)
        fill(collection, codes)
        check_parity(collection, reference, parity_codes(N_QUERIES, seed=1))
