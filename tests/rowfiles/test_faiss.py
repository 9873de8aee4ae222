"""faiss reads what we write, finds the same neighbours, and we read what it writes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

import h2q
from h2q.codes import pack
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles import read_codes, reverse_bits, stream_of_codes, write_codes
from h2q.rowfiles.faiss_lsh import linear_transform
from tests.rowfiles.samples import check_neighbours, queries_for, same, sample


@pytest.mark.parametrize("n_bits", [64, 36])
@pytest.mark.parametrize("index", ["flat", "ivf", "hnsw"])
def test_faiss_finds_the_same_neighbours_by_id(index: str, n_bits: int, tmp_path: Path) -> None:
    given = sample(n_bits, 400, "int")
    path = write_codes(given, tmp_path / "codes.faiss", index=index)
    found: Any = faiss.read_index_binary(str(path))
    assert found.ntotal == 400
    if index == "ivf":
        assert isinstance(found, faiss.IndexBinaryIVF)
        found.nprobe = found.nlist
    else:
        inner: Any = faiss.downcast_IndexBinary(found.index)
        assert type(inner).__name__.lower() == f"indexbinary{index}"
        if index == "hnsw":
            inner.hnsw.efSearch = 400
    queries = queries_for(n_bits)
    distances, ids = found.search(queries, 10)
    check_neighbours(given, queries, ids.tolist(), distances, 10)


def test_text_ids_are_numbered_and_kept_beside(tmp_path: Path) -> None:
    given = sample(64, 100, "str")
    path = write_codes(given, tmp_path / "codes.faiss")
    everything = given.gather()
    found = faiss.read_index_binary(str(path))
    _, rows = found.search(everything.codes[:5], 1)
    assert rows.ravel().tolist() == [0, 1, 2, 3, 4]
    same(read_codes(path).gather(), everything)


@pytest.mark.parametrize("kind", ["flat", "map", "ivf", "hnsw"])
def test_foreign_indexes_are_read(kind: str, tmp_path: Path) -> None:
    codes = sample(32, 200).gather().codes
    quantizer = faiss.IndexBinaryFlat(32)
    made: Any = {
        "flat": lambda: faiss.IndexBinaryFlat(32),
        "map": lambda: faiss.IndexBinaryIDMap(faiss.IndexBinaryFlat(32)),
        "ivf": lambda: faiss.IndexBinaryIVF(quantizer, 32, 4),
        "hnsw": lambda: faiss.IndexBinaryHNSW(32, 8),
    }[kind]()
    made.train(codes)
    numbers = np.arange(200) * 3 + 5 if kind in ("map", "ivf") else np.arange(200)
    made.add_with_ids(codes, numbers) if kind in ("map", "ivf") else made.add(codes)
    path = tmp_path / "theirs.faiss"
    faiss.write_index_binary(made, str(path))
    found = read_codes(path)
    assert found.n_bits == 32
    assert found.gather().ids == numbers.tolist()
    np.testing.assert_array_equal(found.gather().codes, codes)


def test_other_faiss_indexes_are_refused_by_name(tmp_path: Path) -> None:
    flat = faiss.IndexFlatL2(8)
    flat.add(np.zeros((3, 8), np.float32))
    path = str(tmp_path / "real.faiss")
    faiss.write_index(flat, path)
    with pytest.raises(FormatError, match=r"real\.faiss: not a binary faiss index"):
        read_codes(path)
    with pytest.raises(FormatError, match=r"IndexFlat.*IndexLSH is needed"):
        read_codes(path, "faiss-lsh")
    hashed = faiss.IndexBinaryHash(32, 8)
    hashed.add(np.zeros((3, 4), np.uint8))
    faiss.write_index_binary(hashed, path)
    with pytest.raises(FormatError, match="IndexBinaryHash"):
        read_codes(path)


@pytest.mark.parametrize(
    ("n_bits", "columns"), [(32, 32), (32, 80), (20, 50)], ids=["square", "pca", "not-by-8"]
)
@pytest.mark.parametrize("name", ["HouseholderQuantizer", "ITQQuantizer", "SignQuantizer"])
def test_the_chain_takes_raw_embeddings(
    name: str, n_bits: int, columns: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    rows = (rng.normal(size=(600, columns)) @ rng.normal(size=(columns, columns))) + 2.0
    rows = rows.astype(np.float32)
    quantizer = getattr(h2q, name)(n_bits).fit(rows)
    codes = quantizer.transform(rows)
    given = stream_of_codes(codes, n_bits, list(range(1000, 1600)))
    path = write_codes(given, tmp_path / "chain.lsh.faiss", quantizer=quantizer)
    chain: Any = faiss.read_index(str(path))
    assert (chain.d, chain.ntotal) == (columns, 600)

    # It codes raw rows as our quantizer does, LSB first; rounding next to zero apart.
    lsh: Any = faiss.downcast_index(faiss.downcast_index(chain.index).index)
    theirs = reverse_bits(lsh.sa_encode(chain.chain.at(0).apply(rows)))
    flipped = np.unpackbits(theirs ^ codes, axis=1, count=n_bits).astype(bool)
    assert np.all(np.abs(quantizer.rotate(rows))[flipped] < 1e-4)
    assert flipped.sum() <= 1

    # And it finds, with raw queries, the neighbours our codes have.
    queries = rows[::40] + 0.1 * rng.normal(size=rows[::40].shape).astype(np.float32)
    distances, ids = chain.search(queries, 10)
    check_neighbours(given, quantizer.transform(queries), ids.tolist(), distances, 10)
    same(read_codes(path).gather(), given.gather())


def test_the_order_of_the_bits_matters_in_the_chain(tmp_path: Path) -> None:
    """Were our bytes put in unturned, raw queries would find other neighbours."""
    rows = np.random.default_rng(0).normal(size=(300, 24)).astype(np.float32)
    quantizer = h2q.HouseholderQuantizer(random_state=0).fit(rows)
    codes = quantizer.transform(rows)
    lsh = faiss.IndexLSH(24, 24, False, False)
    lsh.add_sa_codes(codes)
    wrong = faiss.IndexPreTransform(linear_transform(quantizer), lsh)
    distances, _ = wrong.search(rows[:50], 1)
    assert np.mean(distances > 0) > 0.9  # not even the row itself


def test_chain_refuses_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="keeps none"):
        write_codes(sample(), tmp_path / "x.lsh.faiss")
    rows = np.random.default_rng(0).normal(size=(100, 32))
    with pytest.raises(InvalidInputError, match="32 bits"):
        write_codes(sample(), tmp_path / "x.lsh.faiss", quantizer=h2q.SignQuantizer().fit(rows))
    assert not list(tmp_path.iterdir())


def test_a_foreign_lsh_is_read_with_its_bits_turned(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 20)).astype(np.float32)
    lsh = faiss.IndexLSH(20, 20, False, False)
    lsh.add(rows)
    faiss.write_index(lsh, str(tmp_path / "theirs.lsh.faiss"))
    found = read_codes(tmp_path / "theirs.lsh.faiss")
    assert found.n_bits == 20
    np.testing.assert_array_equal(found.gather().codes, pack(rows))


def test_bad_options() -> None:
    with pytest.raises(InvalidInputError, match="'flat', 'ivf' or 'hnsw'"):
        write_codes(sample(), "codes.faiss", index="pq")
    with pytest.raises(InvalidInputError, match="999 lists"):
        write_codes(sample(), "codes.faiss", index="ivf", nlist=999)


def test_torch_quantizers_make_the_same_chain() -> None:
    import torch

    rows = np.random.default_rng(0).normal(size=(200, 32))
    quantizer = h2q.HouseholderQuantizer(16, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = quantizer.fit(torch.as_tensor(rows))
    transform = linear_transform(fitted)
    ours = pack(transform.apply(rows.astype(np.float32)))
    np.testing.assert_array_equal(ours, np.asarray(fitted.transform(torch.as_tensor(rows))))
