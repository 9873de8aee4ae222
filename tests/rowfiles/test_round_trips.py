from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import h2q
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles import FORMATS, format_of, read_codes, stream_of_collection, write_codes
from h2q.rowfiles import stream as stream_module
from h2q.rowfiles.sidecar import items_path, sidecar_path
from tests.rowfiles.samples import KINDS, same, sample

#: Formats that keep everything, in themselves or beside themselves.
WHOLE = ["parquet", "arrow", "npy", "u8bin", "fbin", "faiss", "usearch", "pgvector"]


def name_of(format_name: str) -> str:
    return f"codes{FORMATS[format_name].suffixes[0]}"


@pytest.mark.parametrize("format_name", WHOLE)
@pytest.mark.parametrize("ids", KINDS)
@pytest.mark.parametrize("n_bits", [64, 20, 129])
def test_everything_comes_back(
    format_name: str, ids: str, n_bits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = sample(n_bits, 150, ids)
    path = write_codes(given, tmp_path / name_of(format_name))
    found = read_codes(path)
    assert (found.n_bits, found.count) == (n_bits, 150)
    same(found.gather(), given.gather())
    pieces = list(found.batches(37))
    assert [len(piece.ids) for piece in pieces] == [37, 37, 37, 37, 2]
    assert [each for piece in pieces for each in piece.ids] == found.gather().ids


@pytest.mark.parametrize("format_name", WHOLE)
def test_small_batches_write_the_same(format_name: str, tmp_path: Path) -> None:
    given = sample(40, 100, "mixed")
    small = stream_module.CodeStream(40, 100, lambda size: given.open(min(size, 13)))
    path = write_codes(small, tmp_path / name_of(format_name))
    same(read_codes(path).gather(), given.gather())


@pytest.mark.parametrize("format_name", [name for name in FORMATS if name != "faiss-lsh"])
def test_an_export_is_written_over_another(format_name: str, tmp_path: Path) -> None:
    path = tmp_path / name_of(format_name)
    for n in (300, 60):
        kind = "int" if n == 60 else "str"
        write_codes(sample(32, n, kind), path)
        expected = n - n // 10 if format_name == "ann-benchmarks" else n
        assert len(read_codes(path).gather().ids) == expected
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


@pytest.mark.parametrize("format_name", WHOLE)
def test_an_empty_collection(format_name: str, tmp_path: Path) -> None:
    path = write_codes(sample(16, 0), tmp_path / name_of(format_name))
    assert read_codes(path).gather().codes.shape == (0, 2)


@pytest.mark.parametrize("format_name", list(FORMATS))
def test_truncated_and_foreign_files_are_named(format_name: str, tmp_path: Path) -> None:
    path = tmp_path / name_of(format_name)
    options = {}
    if format_name == "faiss-lsh":
        rows = np.random.default_rng(0).normal(size=(100, 64))
        options["quantizer"] = h2q.SignQuantizer().fit(rows)
    write_codes(sample(64, 200, "int"), path, **options)
    whole = path.read_bytes()
    for damage in (
        b"",
        b"no such thing\n" * 50,
        whole[: len(whole) // 2],
        whole[:-3],
        os.urandom(400),
    ):
        path.write_bytes(damage)
        with pytest.raises(FormatError, match=path.name.replace(".", r"\.")):
            read_codes(path).gather()
    for beside in (sidecar_path(path), items_path(path)):
        beside.unlink(missing_ok=True)
    for damage in (b"", b"no such thing\n" * 50, whole[: len(whole) // 2], os.urandom(400)):
        path.write_bytes(damage)
        with pytest.raises(FormatError, match=path.name.replace(".", r"\.")):
            read_codes(path, n_bits=64).gather()


@pytest.mark.parametrize("format_name", ["npy", "npz"])
def test_pickles_are_refused(format_name: str, tmp_path: Path) -> None:
    path = tmp_path / name_of(format_name)
    with path.open("wb") as file:
        objects = np.array([{"a": 1}], dtype=object)
        (np.save if format_name == "npy" else np.savez)(file, objects, allow_pickle=True)
    with pytest.raises(FormatError):
        read_codes(path, n_bits=64).gather()


@pytest.mark.parametrize("format_name", ["npy", "u8bin"])
def test_bare_bytes_need_their_number_of_bits(format_name: str, tmp_path: Path) -> None:
    given = sample(20, 50, "int", payloads=False)
    path = write_codes(given, tmp_path / name_of(format_name))
    sidecar_path(path).unlink()
    with pytest.raises(FormatError, match="interrupted"):  # ids that nothing vouches for
        read_codes(path, n_bits=20)
    items_path(path).unlink()
    with pytest.raises(FormatError, match="--bits"):
        read_codes(path)
    with pytest.raises(FormatError, match=r"filling bits"):
        read_codes(path, n_bits=18).gather()
    found = read_codes(path, n_bits=20).gather()
    np.testing.assert_array_equal(found.codes, given.gather().codes)
    assert found.ids == [str(row) for row in range(50)]
    turned = read_codes(path, n_bits=24, bit_order="lsb").gather().codes
    np.testing.assert_array_equal(
        np.unpackbits(turned, axis=1), np.unpackbits(found.codes, axis=1, bitorder="little")
    )


@pytest.mark.parametrize("format_name", [*WHOLE, "npz", "ann-benchmarks"])
def test_a_wrong_number_of_bits_is_refused(format_name: str, tmp_path: Path) -> None:
    path = write_codes(sample(64, 50), tmp_path / name_of(format_name))
    with pytest.raises(FormatError, match="32"):
        read_codes(path, n_bits=32).gather()


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    path = write_codes(sample(64, 50), tmp_path / "codes.npy")
    other = write_codes(sample(64, 60), tmp_path / "other.npy")
    sidecar_path(other).rename(sidecar_path(path))
    with pytest.raises(FormatError, match="export again"):
        read_codes(path)
    write_codes(sample(64, 50), path)
    items_path(path).unlink()
    with pytest.raises(FormatError, match=r"items\.jsonl"):
        read_codes(path).gather()
    items_path(path).write_text('["a", null]\n')
    with pytest.raises(FormatError, match="of another export"):
        read_codes(path).gather()
    facts = json.loads(sidecar_path(path).read_text())
    sidecar_path(path).write_text(json.dumps({**facts, "format_version": 9}))
    with pytest.raises(FormatError, match="upgrade"):
        read_codes(path)


def test_a_failed_export_leaves_what_was_there(tmp_path: Path) -> None:
    path = write_codes(sample(64, 50), tmp_path / "codes.npy")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}

    def batches(size: int) -> object:
        yield next(iter(sample(64, 50).batches(10)))
        raise OSError("disk full")

    broken = stream_module.CodeStream(64, 50, batches)  # type: ignore[arg-type]
    for name in WHOLE:
        with pytest.raises(OSError, match="disk full"):
            write_codes(broken, path, name)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_formats_by_suffix_and_options() -> None:
    assert format_of("x/Codes.LSH.faiss").name == "faiss-lsh"
    assert format_of("codes.faiss").name == "faiss"
    assert format_of("codes.bin", "u8bin").name == "u8bin"
    with pytest.raises(InvalidInputError, match="--format"):
        format_of("codes.bin")
    with pytest.raises(InvalidInputError, match="did you mean 'parquet'"):
        format_of("codes.bin", "parkuet")
    with pytest.raises(InvalidInputError, match="nlist"):
        write_codes(sample(), "codes.faiss", nprobe=3)
    with pytest.raises(FormatError, match="no such file"):
        read_codes("absent.npy")


def test_a_collection_is_streamed(tmp_path: Path) -> None:
    given = sample(64, 500, "mixed").gather()
    with h2q.open_collection(tmp_path / "items.h2q", n_bits=64) as collection:
        collection.add(given.ids, given.codes, given.payloads)
        stream = stream_of_collection(collection)
        assert stream.count == 500
        done: list[tuple[int, int]] = []
        path = tmp_path / "codes.parquet"
        write_codes(stream.with_progress(lambda *both: done.append(both)), path)
        assert done[-1] == (500, 500)
        same(read_codes(path).gather(), given)
        some = stream_of_collection(collection, {"good": True})
        write_codes(some, path)
        assert (
            len(read_codes(path).gather().ids)
            == some.count
            == sum(p is not None and p["good"] for p in given.payloads)
        )


def test_importing_it_imports_no_other_library() -> None:
    script = (
        "import sys, h2q.rowfiles\n"
        "print(sorted({'faiss','usearch','h5py','pyarrow','torch','pgvector'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() in ("[]", "['faiss']")
