"""The metrics in torch: the values of numpy, computed where the arrays are.

Tensors on the CPU are numpy's by default; here torch takes them, as it takes those of a GPU. The
same tests run on CUDA where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from h2q import CodeDecoder
from h2q.codes import pack
from h2q.errors import InvalidInputError
from h2q.evaluation import (
    RANKINGS,
    _backend,
    average_precision,
    code_statistics,
    evaluate,
    mean_average_precision,
    neighbour_recall,
    precision_recall_by_radius,
    precision_recall_curve,
    precision_within_radius,
    quantization_errors,
    radius_aware_map,
)
from h2q.evaluation._labels import SharedLabel
from h2q.evaluation.ranking import Retrieval

torch = pytest.importorskip("torch", reason="these are tests of torch tensors")

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    ),
]
#: Cut into several blocks: some 60 queries and 400 items.
PAIRS = 6_000


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A device whose arrays torch takes, in blocks of few queries."""
    from h2q.evaluation import _torch_backend

    monkeypatch.setattr(_backend, "_has_own_backend", lambda device: device.type != "mps")
    monkeypatch.setattr(_backend, "BLOCK_PAIRS", PAIRS)
    monkeypatch.setattr(_torch_backend, "BLOCK_PAIRS", PAIRS)
    monkeypatch.setattr(_torch_backend, "_MOST_PAIRS", PAIRS)
    return torch.device(request.param)


@pytest.fixture(params=[(12, "classes"), (64, "classes"), (12, "hot"), (70, "hot")])
def data(request: pytest.FixtureRequest) -> list[np.ndarray]:
    """Queries, database and labels: many ties at 12 bits, few at 64, codes of several words."""
    n_bits, kind = request.param
    rng = np.random.default_rng(n_bits)
    labels = rng.integers(0, 5, 460)
    z = rng.standard_normal((5, n_bits))[labels] + 1.5 * rng.standard_normal((460, n_bits))
    z[100:120] = z[120:140]  # equal items tie
    z = z.astype(np.float32)
    if kind == "hot":
        labels = rng.random((460, 9)) < 0.2
        labels[3] = False  # relevant to nothing
    return [z[:60], z[60:], labels[:60], labels[60:]]


def on(device: Any, arrays: list[np.ndarray]) -> list[Any]:
    return [torch.as_tensor(array, device=device) for array in arrays]


@pytest.mark.parametrize("normalisation", ["retrieved", "relevant", "achievable"])
def test_evaluate(device: Any, data: list[np.ndarray], normalisation: str) -> None:
    settings: dict[str, Any] = {"k": [50, 7, None], "normalisation": normalisation}
    want, got = evaluate(*data, **settings), evaluate(*on(device, data), **settings)
    assert got.to_dict()["rankings"].keys() == want.to_dict()["rankings"].keys()
    for ranking in RANKINGS:
        assert got[ranking] == pytest.approx(want[ranking], rel=1e-9)
        np.testing.assert_allclose(
            got.average_precision[ranking], want.average_precision[ranking], rtol=1e-9
        )
    assert got.lookup == pytest.approx(want.lookup, rel=1e-9)
    assert got.queries_without_relevant == want.queries_without_relevant
    assert isinstance(got.average_precision["hamming"], np.ndarray)


def test_groups_of_ties_are_the_same_numbers(device: Any, data: list[np.ndarray]) -> None:
    def groups(arrays: list[Any], top: int | None) -> Iterator[list[np.ndarray]]:
        backend = _backend.backend_for(arrays[0])
        relevance = SharedLabel(*arrays[2:], backend)
        retrieval = Retrieval(*arrays[:2], relevance)
        for block in retrieval.blocks(RANKINGS, top, by_distance=True, radius=None):
            for name in RANKINGS:
                each = block.groups[name]
                fields = (each.rows, each.totals, each.relevant, each.before, each.relevant_before)
                yield [backend.to_numpy(field) for field in fields]

    for top in (None, 13):
        pairs = zip(groups(on(device, data), top), groups(data, top), strict=True)
        for got, want in pairs:
            for a, b in zip(got, want, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("ranking", RANKINGS)
@pytest.mark.parametrize("radius", [0, 2, 5])
def test_within_a_radius(device: Any, data: list[np.ndarray], ranking: Any, radius: int) -> None:
    options: dict[str, Any] = {"rank": ranking, "radius": radius}
    want, got = (average_precision(*a, **options) for a in (data, on(device, data)))
    np.testing.assert_allclose(got, want, rtol=1e-9)
    skip = mean_average_precision(*on(device, data), **options, without_relevant="skip")
    assert skip == pytest.approx(
        mean_average_precision(*data, **options, without_relevant="skip"), rel=1e-9
    )


METRICS: list[Callable[..., Any]] = [
    lambda *a: precision_recall_curve(*a, rank="embedding").recall,
    lambda *a: precision_recall_curve(*a).precision,
    lambda *a: precision_recall_by_radius(*a).precision,
    lambda *a: precision_recall_by_radius(*a).recall,
    lambda *a: precision_within_radius(*a, radius=1),
    lambda *a: radius_aware_map(*a, lookup_cost=True),
    lambda q, d, *_: neighbour_recall(q, d, k=5, shortlist=40, rank="asymmetric"),
    lambda q, d, *_: neighbour_recall(q, d, k=5, shortlist=40),
    lambda _, d, *__: list(code_statistics(d).to_dict().values()),
    lambda _, d, *__: list(quantization_errors(d).to_dict().values()),
]


@pytest.mark.parametrize("metric", METRICS)
def test_the_other_metrics(device: Any, data: list[np.ndarray], metric: Callable[..., Any]) -> None:
    want, got = metric(*data), metric(*on(device, data))
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
    assert not isinstance(got, torch.Tensor)


def test_packed_codes_and_mixed_kinds(device: Any, data: list[np.ndarray]) -> None:
    q, d, ql, dl = data
    n_bits = q.shape[1]
    want = mean_average_precision(q, d, ql, dl, k=30)
    codes = [torch.as_tensor(pack(side), device=device) for side in (q, d)]
    assert mean_average_precision(*codes, ql, dl, k=30, n_bits=n_bits) == pytest.approx(
        want, rel=1e-9
    )
    real = torch.as_tensor(q, device=device)
    got = mean_average_precision(real, codes[1], ql, dl, rank="asymmetric")
    assert got == pytest.approx(mean_average_precision(q, d, ql, dl, rank="asymmetric"))
    for dtype in (torch.float64, torch.bfloat16):
        half = torch.as_tensor(q, device=device).to(dtype)
        same = half.float().cpu().numpy()
        assert mean_average_precision(half, d, ql, dl) == pytest.approx(
            mean_average_precision(same, d, ql, dl), rel=1e-9
        )


def test_decoded_codes(device: Any, data: list[np.ndarray]) -> None:
    decoder = CodeDecoder().fit(data[1])
    options: dict[str, Any] = {"rank": "decoded", "decoder": decoder, "k": 30}
    got = average_precision(*on(device, data), **options)
    np.testing.assert_allclose(got, average_precision(*data, **options), rtol=1e-9)


def test_wide_rows_in_chunks(
    device: Any, data: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from h2q.evaluation import _sides, _torch_backend

    want = mean_average_precision(*data, rank="cosine")
    monkeypatch.setattr(_sides, "_KEEP", 0)
    monkeypatch.setattr(_sides, "_CHUNK", 7)
    monkeypatch.setattr(_torch_backend, "_SIGNS", 1000)
    tensors = on(device, data)
    assert mean_average_precision(*tensors, rank="cosine") == pytest.approx(want, rel=1e-9)
    assert mean_average_precision(*tensors) == pytest.approx(
        mean_average_precision(*data), rel=1e-9
    )


class Watch(torch.overrides.TorchFunctionMode):
    """Notes the size of every tensor that leaves its device, and of every move to another."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[int] = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        if name in ("cpu", "numpy", "tolist", "__array__", "item", "__dlpack__"):
            self.left.append(args[0].numel())
        return function(*args, **(kwargs or {}))


def all_metrics(tensors: list[Any]) -> None:
    evaluate(*tensors, k=[20, None])
    for metric in METRICS:
        metric(*tensors)
    mean_average_precision(*tensors, radius=2, rank="cosine")


def test_every_tensor_is_made_where_the_arrays_are(device: Any, data: list[np.ndarray]) -> None:
    tensors = on(device, data)
    before = torch.get_default_device()
    # What is made without naming the device would have no content, and fail when it is used.
    torch.set_default_device("meta")
    try:
        all_metrics(tensors)
    finally:
        torch.set_default_device(before)


def test_only_results_leave_the_device(device: Any, data: list[np.ndarray]) -> None:
    tensors = on(device, data)
    with Watch() as watch:
        evaluate(*tensors, k=[20, None])
    # Single numbers (is everything finite?), and a few values a query: never a value a pair.
    assert max(watch.left) <= 60 * 3
    arrays = [size for size in watch.left if size > 1]
    whole = len(arrays)
    assert 0 < whole < 30
    with Watch() as watch:
        evaluate(*(t[:40] if i % 2 == 0 else t for i, t in enumerate(tensors)), k=[20, None])
    # As many with fewer blocks: none is moved in the loop over the blocks.
    assert len([size for size in watch.left if size > 1]) == whole
    with Watch() as watch:
        all_metrics(tensors)
    assert max(watch.left) <= 70 * 70  # the counts of pairs of bits


def test_the_watch_sees_what_leaves() -> None:
    with Watch() as watch:
        torch.ones(5).cpu().numpy()
        np.asarray(torch.ones(7))
    assert {5, 7} <= set(watch.left)


def test_cpu_tensors_are_numpys_by_default() -> None:
    assert _backend.backend_for(torch.ones(2), np.ones(2)) is _backend.NUMPY


def test_arrays_of_two_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_backend, "_has_own_backend", lambda device: True)
    with pytest.raises(InvalidInputError, match="different devices"):
        _backend.backend_for(torch.ones(2), torch.ones(2, device="meta"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a | {"query": a["query"] * float("nan")}, "query has rows with NaN"),
        (lambda a: a | {"database": a["database"][:, :10]}, "10 columns, expected 12"),
        (lambda a: a | {"query_labels": a["query_labels"] - 9}, "must be 0 or more"),
        (lambda a: a | {"query_labels": a["query_labels"] / 3}, "expected integer classes"),
        (
            lambda a: a | {"query_labels": a["query_labels"][:, None].repeat(1, 3) + 2},
            "must be 0 or 1",
        ),
        (lambda a: a | {"database": pack(a["database"]) | 1}, "filling bits"),
    ],
)
def test_bad_input(device: Any, change: Callable[..., Any], message: str) -> None:
    rng = np.random.default_rng(0)
    arguments = {
        "query": torch.as_tensor(rng.standard_normal((6, 12)), device=device),
        "database": torch.as_tensor(rng.standard_normal((9, 12)), device=device),
        "query_labels": torch.as_tensor(rng.integers(0, 3, 6), device=device),
        "database_labels": torch.as_tensor(rng.integers(0, 3, 9), device=device),
    }
    with pytest.raises(InvalidInputError, match=message):
        mean_average_precision(**change(arguments))
