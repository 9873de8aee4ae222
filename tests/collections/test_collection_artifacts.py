"""The model and the quantizer travel with the codes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from h2q import LocalSearchQuantizer, open_collection
from h2q._seal import sealed
from h2q.errors import CompatibilityError, FormatError, InvalidInputError
from h2q.quantization.serialization import differences


def model_bytes(n_bits: int = 24, weights: bytes = b"", order: int = 1) -> bytes:
    """A file with the header of a model; a collection looks at nothing else."""
    metadata = {"format": "h2q", "kind": "hasher", "hasher": json.dumps({"n_bits": n_bits})}
    header = json.dumps({"__metadata__": dict(list(metadata.items())[::order])}).encode()
    return len(header).to_bytes(8, "little") + header + weights


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "photos.h2q"


@pytest.mark.parametrize("as_path", [True, False])
def test_a_model_larger_than_a_chunk_comes_back(tmp_path: Path, path, as_path):
    data = model_bytes(weights=np.random.default_rng(0).bytes(3_500_000))
    file = tmp_path / "model.safetensors"
    file.write_bytes(data)
    with open_collection(path, model=file if as_path else data) as collection:
        assert collection.n_bits == 24
        assert collection.quantizer is None
        assert list(collection.fingerprints) == ["model"]
    with open_collection(path, model=data, mode="r") as collection:
        assert collection.model_bytes() == data
        collection.write_model(tmp_path / "copy.safetensors")
    assert (tmp_path / "copy.safetensors").read_bytes() == data
    names = ["copy.safetensors", "model.safetensors", "photos.h2q"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names


def test_the_order_of_the_header_does_not_make_another_model(path: Path):
    assert model_bytes() != model_bytes(order=-1)
    open_collection(path, model=model_bytes()).close()
    open_collection(path, model=model_bytes(order=-1)).close()


def test_another_model_is_refused_by_its_fingerprint(path: Path):
    with open_collection(path, model=model_bytes(weights=b"a")) as collection:
        kept = collection.fingerprints["model"]
    with pytest.raises(CompatibilityError, match=kept[:12]):
        open_collection(path, model=model_bytes(weights=b"b"))


def test_a_model_of_another_length_is_refused(path: Path):
    open_collection(path, n_bits=64).close()
    with pytest.raises(CompatibilityError, match=r"64-bit codes, the model has 24"):
        open_collection(path, model=model_bytes())


def test_a_collection_may_have_no_model(tmp_path: Path, path):
    with open_collection(path, n_bits=8) as collection:
        assert collection.model_bytes() is None
        with pytest.raises(InvalidInputError, match="holds no model"):
            collection.write_model(tmp_path / "model")
    assert [p.name for p in tmp_path.iterdir()] == ["photos.h2q"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\xff" * 100,
        model_bytes()[:40],
        len(b"{}").to_bytes(8, "little") + b"{}",
        model_bytes().replace(b"hasher", b"hashed"),
        model_bytes().replace(b"n_bits", b"x_bits"),
    ],
)
def test_what_is_no_model_is_refused_and_nothing_made(tmp_path: Path, path, data):
    file = tmp_path / "model.safetensors"
    file.write_bytes(data)
    for model in (data, file):
        with pytest.raises(FormatError, match="model"):
            open_collection(path, model=model)
    with pytest.raises(InvalidInputError, match="absent"):
        open_collection(path, model=tmp_path / "absent")
    assert not path.exists()


def test_a_damaged_model_is_noticed(path: Path):
    open_collection(path, model=model_bytes(weights=b"a" * 100)).close()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE artifact_chunks SET data = substr(data, 2)")
    connection.close()
    with open_collection(path) as collection, pytest.raises(FormatError, match="checksum"):
        collection.model_bytes()


def test_the_first_rows_fit_codes_longer_than_they_are_wide(path: Path):
    rows = np.random.default_rng(0).standard_normal((200, 24))
    with open_collection(path, quantizer=LocalSearchQuantizer(48)) as collection:
        collection.add(range(200), rows)
        assert collection.search(rows[:5], 1).ids == [[i] for i in range(5)]
    for other in ({"n_bits": 48}, {"n_bits": 48, "quantizer": "itq"}):
        with (
            open_collection(path.with_name(f"{len(other)}.h2q"), **other) as collection,
            pytest.raises(InvalidInputError, match="24 columns"),
        ):
            collection.add(range(200), rows)


def test_a_code_length_that_is_no_number_is_refused(path: Path):
    with pytest.raises(
        InvalidInputError, match=r"n_bits must be a whole number from 1 .*, got .32."
    ):
        open_collection(path, n_bits="32")


def test_the_same_quantizer_in_numbers_of_numpy(tmp_path: Path):
    """A parameter that an older file does not state is its default."""
    rows = np.random.default_rng(0).standard_normal((200, 32)).astype(np.float32)

    def wanted(**other) -> LocalSearchQuantizer:
        given = {"n_bits": np.int64(16), "n_iter": np.int32(1), "gram_shrinkage": np.float32(0.25)}
        return LocalSearchQuantizer(**(given | {"random_state": np.int64(3)} | other))

    for _ in range(2):
        with open_collection(tmp_path / "c.h2q", quantizer=wanted()) as items:
            items.add(range(200), rows)
    with pytest.raises(CompatibilityError, match=r"16-bit codes, the quantizer has 24"):
        open_collection(tmp_path / "c.h2q", quantizer=wanted(n_bits=24))
    data = wanted().fit(rows).to_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    described = json.loads(header["__metadata__"]["quantizer"])
    del described["parameters"]["max_samples"]
    tensors = safetensors.numpy.load(data)
    metadata = header["__metadata__"] | {"quantizer": json.dumps(described)}
    older = sealed(safetensors.numpy.save(tensors, metadata=metadata))
    assert differences(older, wanted(), by_name=False) is None
    assert differences(older, wanted(max_samples=10), by_name=False) is not None
