from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from h2q.encoders.torch_file import read_torch_arrays
from h2q.errors import FormatError

torch = pytest.importorskip("torch")


def legacy(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "a": generator.normal(size=(3, 4)).astype(np.float32),
        "b": generator.normal(size=(2, 3, 4)),
        "n": np.array(7),
        "i": np.arange(5, dtype=np.int32),
    }


def test_tensors_of_all_layouts(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    tensors["turned"] = tensors["a"].T  # shares the storage of "a"
    tensors["part"] = tensors["b"][1, :, 1:3]
    path = tmp_path / "weights.pth"
    path.write_bytes(legacy(tensors))
    found = read_torch_arrays(path)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("ran",))


def test_no_code_of_the_file_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arrays: dict[str, np.ndarray]
) -> None:
    path = tmp_path / "evil.pth"
    for value in ({"a": Evil()}, Evil()):
        path.write_bytes(legacy(value))
        with pytest.raises(FormatError, match=r"evil\.pth: the pickle asks for __builtin__\.print"):
            read_torch_arrays(path)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(FormatError, match="print"):
        read_torch_arrays(path)
    assert capsys.readouterr().out == ""


def test_damaged_files_raise_our_error(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    whole = legacy({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
    path = tmp_path / "cut.pth"
    for length in [*range(0, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError, match=r"cut\.pth"):
            read_torch_arrays(path)
    with pytest.raises(FormatError, match="cannot be read"):
        read_torch_arrays(tmp_path / "gone.pth")


def test_a_tensor_cannot_reach_beyond_its_storage(tmp_path: Path) -> None:
    path = tmp_path / "far.pth"
    whole = legacy({"a": torch.arange(6, dtype=torch.float32).reshape(2, 3)})
    # Its shape in the pickle: (2, 3) with strides (3, 1).
    at = whole.index(b"K\x02K\x03\x86")
    path.write_bytes(whole[: at + 1] + b"\x7f" + whole[at + 2 :])
    with pytest.raises(FormatError, match="beyond its storage"):
        read_torch_arrays(path)


def test_other_contents_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.pth"
    path.write_bytes(legacy([torch.zeros(2)]))
    with pytest.raises(FormatError, match="something else than one dictionary"):
        read_torch_arrays(path)
    path.write_bytes(b"PK\x03\x04 a zip archive")
    with pytest.raises(FormatError, match=r"list\.pth"):
        read_torch_arrays(path)
