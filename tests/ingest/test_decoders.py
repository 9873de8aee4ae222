"""Decoders that are fitted on what comes in, by their name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import h2q
from h2q.codes import CodeFile
from h2q.errors import InvalidInputError
from h2q.ingest import ingest
from h2q.rowfiles import Embeddings


def test_photos_of_a_model_get_the_decoder_of_its_rotated_rows(
    photos: Path, model: bytes, tmp_path: Path
) -> None:
    file, uri = tmp_path / "model.safetensors", tmp_path / "c.h2q"
    file.write_bytes(model)
    assert ingest(photos, uri, model=file, decoder="code", device="cpu").added == 60
    with h2q.open_collection(uri) as items:
        decoder = items.decoder
        assert isinstance(decoder, h2q.CodeDecoder)
        assert decoder.prototypes_.shape == (60, items.n_bits)
        codes = np.concatenate([batch.codes for batch in items.iterate()])
        signs = np.packbits(decoder.prototypes_ > 0, axis=1)
        assert sorted(map(bytes, codes)) == sorted(map(bytes, signs))
        rows = np.random.default_rng(0).standard_normal((2, items.n_bits))
        assert len(items.search(rows, 3, rank="decoded").ids[0]) == 3
    assert ingest(photos, uri, decoder="code", device="cpu").unchanged == 60


def test_rows_in_memory_and_an_open_collection(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    quantizer = h2q.HouseholderQuantizer(8, random_state=0).fit(rows)
    source = Embeddings(rows, ids=list(range(200)))
    uri = tmp_path / "c.h2q"
    assert ingest(source, uri, quantizer=quantizer, decoder="linear").added == 200
    with h2q.open_collection(uri) as items:
        assert isinstance(items.decoder, h2q.LinearDecoder)
        assert items.search(rows[:1], 3, rank="linear").scores is not None
        with pytest.raises(InvalidInputError, match="an open collection has its decoder"):
            ingest(source, items, decoder="linear")
    codes = CodeFile(quantizer.transform(rows), n_bits=8, ids=[str(i) for i in range(200)])
    with pytest.raises(InvalidInputError, match="is fitted on embeddings with their quantizer"):
        ingest(codes, tmp_path / "d.h2q", decoder="code")
    assert not (tmp_path / "d.h2q").exists()
