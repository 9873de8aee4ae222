"""200,000 codes and 1,000 queries: the answers of the embedded collection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from h2q import open_collection
from tests.collections.milvus.server import MilvusServer
from tests.collections.parity import N_BITS, check_parity, fill, parity_codes


@pytest.mark.slow
def test_the_same_answers_as_the_embedded_collection(server: MilvusServer, tmp_path: Path):
    codes = parity_codes()
    with (
        open_collection(tmp_path / "parity.h2q", n_bits=N_BITS) as reference,
        open_collection(
            f"milvus://{server.address}/parity", n_bits=N_BITS, timeout=120
        ) as collection,
    ):
        fill(reference, codes)
        fill(collection, codes)
        check_parity(collection, reference)
        # Replaced and deleted items, too.
        for each in (collection, reference):
            each.add(range(0, 200_000, 20), codes[::20][::-1].copy())
            assert each.delete(range(0, 200_000, 50)) == 4000
        queries = np.concatenate([codes[:20], parity_codes(30, seed=2)])
        check_parity(collection, reference, queries)
