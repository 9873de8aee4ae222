"""Quantizer files: everything comes back, and what is not ours is refused."""

import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import h2q
from h2q import HouseholderQuantizer, ITQQuantizer, SignQuantizer
from h2q.collections.artifacts import fingerprint
from h2q.errors import FormatError, InvalidInputError
from h2q.quantization import from_bytes
from h2q.quantization.serialization import FORMAT_VERSION, read_header


@pytest.fixture
def saved(rows, tmp_path):
    path = tmp_path / "quantizer.h2q"
    HouseholderQuantizer(6, random_state=0).fit(rows).save(path)
    return path


def rewrite(path, change):
    """Change the metadata of a file, keeping its arrays; it has no checksum then."""
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        del metadata["sha256"]
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata, arrays = change(metadata, arrays)
    safetensors.numpy.save_file(arrays, path, metadata=metadata)


@pytest.mark.parametrize("n_bits", [None, 12, 6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_comes_back(quantizer_class, rows, tmp_path, n_bits, dtype):
    rows = rows.astype(dtype)
    quantizer = quantizer_class(n_bits, random_state=3).fit(rows)
    quantizer.save(tmp_path / "q")
    for restored in (h2q.load(tmp_path / "q"), from_bytes(quantizer.to_bytes())):
        assert type(restored) is quantizer_class
        assert restored.get_params() == quantizer.get_params()
        for name in ("rotation_", "reflections_", "mean_", "components_"):
            ours, theirs = getattr(quantizer, name), getattr(restored, name)
            assert (ours is None) == (theirs is None)
            if ours is not None:
                np.testing.assert_array_equal(theirs, ours, strict=True)
        for name in ("n_bits_", "n_features_in_", "n_samples_seen_"):
            assert getattr(restored, name) == getattr(quantizer, name)
        history = {name: list(values) for name, values in quantizer.history_.items()}
        assert restored.history_ == history
        np.testing.assert_array_equal(restored.transform(rows), quantizer.transform(rows))


def test_every_parameter_comes_back(rows):
    quantizer = HouseholderQuantizer(
        np.int64(6),
        solver="sgd",
        objective="min_entry",
        n_init=2,
        max_samples=250,
        solver_options={"n_epochs": 2, "learning_rate": np.float32(0.5)},
        random_state=np.random.default_rng(5),
    ).fit(rows)
    restored = from_bytes(quantizer.to_bytes())
    assert restored.n_bits == 6
    assert (restored.solver, restored.objective, restored.n_init) == ("sgd", "min_entry", 2)
    assert restored.max_samples == 250
    assert restored.solver_options == {"n_epochs": 2, "learning_rate": 0.5}
    assert restored.random_state.random() == quantizer.random_state.random()


def test_names_of_columns_come_back(rows):
    quantizer = SignQuantizer().fit(rows)
    quantizer.feature_names_in_ = np.asarray([f"c{i}" for i in range(12)], dtype=object)
    restored = from_bytes(quantizer.to_bytes())
    np.testing.assert_array_equal(restored.feature_names_in_, quantizer.feature_names_in_)


def test_a_stream_is_solved_and_saved(rows, tmp_path):
    ITQQuantizer(random_state=0).partial_fit(rows).save(tmp_path / "q")
    expected = ITQQuantizer(random_state=0).fit(rows).transform(rows)
    loaded = h2q.load(tmp_path / "q")
    np.testing.assert_array_equal(loaded.transform(rows), expected)
    with pytest.raises(InvalidInputError, match="cannot continue"):
        loaded.partial_fit(rows)


def test_the_header_says_what_the_file_is(saved):
    header = read_header(saved)
    assert (header["format"], header["kind"]) == ("h2q", "quantizer")
    assert header["format_version"] == str(FORMAT_VERSION)
    description = json.loads(header["quantizer"])
    assert description["class"] == "HouseholderQuantizer"
    assert description["n_bits"] == 6


def test_equal_quantizers_give_equal_bytes(rows):
    fits = [HouseholderQuantizer(6, random_state=0).fit(rows) for _ in range(2)]
    assert len({quantizer.to_bytes() for quantizer in fits for _ in range(10)}) == 1
    assert from_bytes(fits[0].to_bytes()).to_bytes() == fits[0].to_bytes()


def test_every_truncation_is_a_format_error(saved):
    data = saved.read_bytes()
    for size in [0, 1, 7, 8, 9, 100, len(data) // 2, len(data) - 1]:
        saved.write_bytes(data[:size])
        with pytest.raises(FormatError, match="truncated or not"):
            h2q.load(saved)
        with pytest.raises(FormatError, match="truncated or not"):
            from_bytes(data[:size])


def test_a_flipped_bit_is_seen_wherever_it_is(saved):
    data = saved.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.choice(len(data), 400, replace=False):
        broken = bytearray(data)
        broken[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(FormatError):
            from_bytes(bytes(broken))
    broken = bytearray(data)
    broken[-3] ^= 1  # of an array, which no other check would tell from the right one
    saved.write_bytes(broken)
    with pytest.raises(FormatError, match=f"{saved.name} is damaged: its checksum differs"):
        h2q.load(saved)


def test_a_file_of_before_there_was_a_checksum_is_the_same_quantizer(saved, rows):
    now = h2q.load(saved)
    rewrite(saved, lambda metadata, arrays: (metadata, arrays))
    before = h2q.load(saved)
    np.testing.assert_array_equal(before.transform(rows), now.transform(rows))
    assert before.to_bytes() == now.to_bytes()
    assert fingerprint(saved) == fingerprint(now.to_bytes())


def test_a_collection_and_a_folder_are_said_to_be_that(tmp_path):
    h2q.open_collection(tmp_path / "c.h2q", n_bits=8).close()
    with pytest.raises(FormatError, match=r"is a collection .*h2q\.open_collection\('.*c\.h2q'\)"):
        h2q.load(tmp_path / "c.h2q")
    with pytest.raises(InvalidInputError, match=r"is a folder; .*model\.safetensors"):
        h2q.load(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"SQLite format 3\x00" + bytes(100), b"\xff\xd8\xff\xe0 a photo", b"{}" * 50],
    ids=["empty", "sqlite", "jpeg", "json"],
)
def test_foreign_files(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FormatError, match="not a safetensors file"):
        h2q.load(tmp_path / "x")


def test_a_safetensors_file_of_someone_else(tmp_path):
    safetensors.numpy.save_file({"w": np.zeros(3)}, tmp_path / "x")
    with pytest.raises(FormatError, match="not one that h2q wrote"):
        h2q.load(tmp_path / "x")


def test_a_newer_file_says_to_upgrade(saved):
    rewrite(saved, lambda m, a: (m | {"format_version": str(FORMAT_VERSION + 1)}, a))
    with pytest.raises(FormatError, match=r"format version 2.*upgrade"):
        h2q.load(saved)
    with pytest.raises(FormatError, match="upgrade"):
        from_bytes(saved.read_bytes())


@pytest.mark.parametrize(
    "change",
    [
        lambda m, a: (m, {**a, "rotation": a["rotation"][:3]}),
        lambda m, a: (m, {**a, "rotation": a["rotation"] * np.nan}),
        lambda m, a: (m, {**a, "rotation": a["rotation"] * 2}),
        lambda m, a: (m, {k: v for k, v in a.items() if k != "mean"}),
        lambda m, a: (m | {"quantizer": "{"}, a),
        lambda m, a: (m | {"quantizer": "[]"}, a),
        lambda m, a: ({k: v for k, v in m.items() if k != "quantizer"}, a),
        lambda m, a: (m | {"quantizer": m["quantizer"].replace("Householder", "Evil")}, a),
        lambda m, a: (m | {"quantizer": m["quantizer"].replace("max_samples", "maximum")}, a),
        lambda m, a: (m | {"format_version": "one"}, a),
        lambda m, a: (m | {"kind": "collection"}, a),
    ],
    ids=[
        "shape",
        "nan",
        "not-orthogonal",
        "no-mean",
        "json",
        "list",
        "no-description",
        "class",
        "parameter",
        "version",
        "kind",
    ],
)
def test_damaged_files(saved, change):
    rewrite(saved, change)
    with pytest.raises(FormatError, match=saved.name):
        h2q.load(saved)


def test_the_bytes_of_a_hasher_are_no_quantizer():
    metadata = {"format": "h2q", "format_version": "1", "kind": "hasher"}
    data = safetensors.numpy.save({"w": np.zeros(3)}, metadata=metadata)
    with pytest.raises(FormatError, match="'hasher', not a quantizer"):
        from_bytes(data)


def test_an_absent_file_is_the_ordinary_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        h2q.load(tmp_path / "absent")


def test_what_json_cannot_hold_is_refused_before_anything_is_written(rows, tmp_path):
    quantizer = HouseholderQuantizer(random_state=0).fit(rows)
    quantizer.solver_options = {"betas": np.zeros(3)}
    with pytest.raises(InvalidInputError, match="cannot be saved"):
        quantizer.save(tmp_path / "q")
    assert list(tmp_path.iterdir()) == []


def test_a_subclass_says_that_it_cannot_be_saved(rows):
    class Mine(SignQuantizer):
        pass

    with pytest.raises(InvalidInputError, match="not Mine"):
        Mine().fit(rows).to_bytes()


def test_the_file_has_ordinary_permissions(saved):
    ordinary = saved.with_name("ordinary")
    ordinary.touch()
    assert saved.stat().st_mode == ordinary.stat().st_mode
