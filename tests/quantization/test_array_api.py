"""One implementation: numpy and torch, on CPU and CUDA, give the same rotation and codes."""

import numpy as np
import pytest

from h2q import HouseholderQuantizer, codes
from h2q.errors import InvalidInputError
from h2q.quantization import from_bytes
from h2q.quantization.solvers.polar import orthonormal

torch = pytest.importorskip("torch")

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    ),
]
SETTINGS = [
    pytest.param("graduated", "l2", None, id="graduated"),
    pytest.param("procrustes", "l2", None, id="procrustes"),
    *(
        pytest.param("sgd", objective, {"n_epochs": 10}, id=f"sgd-{objective}")
        for objective in ("l2", "l1", "min_entry", "bit_variance")
    ),
]


@pytest.fixture(params=DEVICES)
def on_device(request):
    return lambda array: torch.from_numpy(array).to(request.param)


@pytest.mark.parametrize("n_bits", [None, 7])
@pytest.mark.parametrize(("solver", "objective", "options"), SETTINGS)
def test_the_rotation_is_that_of_numpy(rows, on_device, solver, objective, options, n_bits):
    def make():
        return HouseholderQuantizer(
            n_bits, solver=solver, objective=objective, solver_options=options, random_state=0
        )

    expected = make().fit(rows)
    tensor = on_device(rows)
    quantizer = make().fit(tensor)
    rotation, packed = quantizer.rotation_, quantizer.transform(tensor)
    assert rotation.device == tensor.device
    assert rotation.dtype == torch.float64
    assert packed.device == tensor.device
    assert packed.dtype == torch.uint8
    np.testing.assert_allclose(rotation.cpu().numpy(), expected.rotation_, atol=1e-8)
    np.testing.assert_array_equal(packed.cpu().numpy(), expected.transform(rows))
    assert quantizer.quantization_error(tensor) == pytest.approx(expected.quantization_error(rows))


@pytest.mark.parametrize("solver", ["graduated", "procrustes", "sgd"])
def test_float32_gives_nearly_the_same_codes(rows, on_device, solver):
    options = {"n_epochs": 10} if solver == "sgd" else None
    quantizer = HouseholderQuantizer(solver=solver, solver_options=options, random_state=0)
    rows = rows.astype(np.float32)
    expected = quantizer.fit(rows).transform(rows)
    tensor = on_device(rows)
    packed = quantizer.fit(tensor).transform(tensor).cpu().numpy()
    assert codes.hamming_distances(packed, expected).diagonal().mean() < 0.01 * 12


@pytest.mark.parametrize("solver", ["graduated", "procrustes", "sgd"])
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_a_float32_rotation_is_orthogonal(rows, on_device, solver, kind):
    options = {"n_epochs": 10} if solver == "sgd" else None
    quantizer = HouseholderQuantizer(solver=solver, solver_options=options, random_state=0)
    rows = rows.astype(np.float32)
    rotation = quantizer.fit(rows if kind == "numpy" else on_device(rows)).rotation_
    assert str(rotation.dtype).endswith("float32")
    rotation = np.asarray(rotation if kind == "numpy" else rotation.cpu(), dtype=np.float64)
    assert np.abs(rotation.T @ rotation - np.eye(len(rotation))).max() < 1e-6


def test_the_rounding_is_taken_out():
    noise = 1e-3 * np.random.default_rng(0).standard_normal((40, 40))
    near = np.linalg.qr(noise + np.eye(40))[0] + 1e-2 * noise
    found = orthonormal(near.astype(np.float32))
    assert found.dtype == np.float32
    assert np.abs(found.T.astype(np.float64) @ found - np.eye(40)).max() < 1e-6
    assert np.abs(found - near).max() < 1e-4
    u, _, vt = np.linalg.svd(near)
    np.testing.assert_allclose(orthonormal(near), u @ vt, atol=1e-9)  # the nearest there is


def test_all_quantizers(quantizer_class, rows, on_device):
    tensor = on_device(rows)
    quantizer = quantizer_class(7, random_state=0).fit(tensor)
    expected = quantizer_class(7, random_state=0).fit(rows)
    np.testing.assert_array_equal(
        quantizer.transform(tensor).cpu().numpy(), expected.transform(rows)
    )
    np.testing.assert_allclose(
        quantizer.rotate(tensor).cpu().numpy(), expected.rotate(rows), atol=1e-8
    )


def test_fitted_on_one_namespace_used_on_the_other(quantizer_class, rows, on_device):
    tensor = on_device(rows)
    by_numpy = quantizer_class(7, random_state=0).fit(rows)
    by_torch = quantizer_class(7, random_state=0).fit(tensor)
    assert isinstance(by_torch.transform(rows), np.ndarray)
    assert by_numpy.transform(tensor).device == tensor.device
    np.testing.assert_array_equal(
        by_torch.transform(rows), by_numpy.transform(tensor).cpu().numpy()
    )


def test_a_quantizer_fitted_on_a_device_is_read_as_numpy(rows, on_device):
    quantizer = HouseholderQuantizer(7, random_state=0).fit(on_device(rows))
    restored = from_bytes(quantizer.to_bytes())
    assert isinstance(restored.rotation_, np.ndarray)
    np.testing.assert_array_equal(
        restored.transform(rows), quantizer.transform(on_device(rows)).cpu().numpy()
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32", "uint8"])
def test_other_dtypes(rows, on_device, dtype):
    tensor = on_device(np.abs(rows * 10) + 1).to(getattr(torch, dtype))
    quantizer = HouseholderQuantizer(7, random_state=0).fit(tensor)
    wide = tensor.to(torch.float64).cpu().numpy()
    expected = HouseholderQuantizer(7, random_state=0).fit(wide)
    assert quantizer.quantization_error(wide) == pytest.approx(
        expected.quantization_error(wide), rel=0.02
    )


def test_a_stream_of_tensors(rows, on_device):
    quantizer = HouseholderQuantizer(7, random_state=0)
    for batch in on_device(rows).split(70):
        quantizer.partial_fit(batch)
    expected = HouseholderQuantizer(7, random_state=0).fit(on_device(rows))
    torch.testing.assert_close(quantizer.rotation_, expected.rotation_, rtol=0, atol=0)


def test_gradients_are_not_recorded(rows, on_device):
    tensor = on_device(rows).requires_grad_()
    quantizer = HouseholderQuantizer(random_state=0).fit(tensor)
    assert not quantizer.rotate(tensor).requires_grad


def test_bad_tensors(rows, on_device):
    tensor = on_device(rows)
    quantizer = HouseholderQuantizer(random_state=0).fit(tensor)
    broken = tensor.clone()
    broken[17, 2] = torch.nan
    for wrong, message in (
        (broken, "row 17 contain"),
        (tensor[:, :3], "expecting 12"),
        (tensor[0], "2D array"),
        (tensor[:0], "0 sample"),
        (tensor * 1j, "complex"),
        (tensor * 0, "rows 0, 1"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            quantizer.transform(wrong)
