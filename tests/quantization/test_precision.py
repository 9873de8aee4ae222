"""The same numbers give the same codes, in whatever width, order or library they come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from h2q import HouseholderQuantizer, ITQQuantizer, RandomRotationQuantizer, SignQuantizer
from h2q.codes import check_codes, pack
from h2q.errors import InvalidInputError

ROWS = np.random.default_rng(0).standard_normal((300, 16)) + 1e6


@pytest.mark.parametrize("dtype", [">f8", "<f8", np.longdouble])
def test_float64_in_either_order_and_wider(dtype: Any) -> None:
    want = HouseholderQuantizer(8, random_state=0).fit(ROWS)
    quantizer = HouseholderQuantizer(8, random_state=0).fit(ROWS.astype(dtype))
    np.testing.assert_array_equal(quantizer.transform(ROWS.astype(dtype)), want.transform(ROWS))
    assert want.rotate(ROWS.astype(dtype)).dtype == np.float64
    huge = ((ROWS - 1e6) * 1e200).astype(dtype)
    np.testing.assert_array_equal(
        RandomRotationQuantizer(random_state=0).fit(ROWS).transform(huge),
        RandomRotationQuantizer(random_state=0).fit(ROWS).transform(ROWS - 1e6),
    )


@pytest.mark.parametrize("dtype", [">f4", ">i8", ">i4", ">i2", ">u4", ">f2"])
def test_other_types_in_the_foreign_order(dtype: str) -> None:
    rows = ((ROWS - 1e6) * 100).astype(dtype)
    native = rows.astype(rows.dtype.newbyteorder("="))
    want = HouseholderQuantizer(8, random_state=0).fit(native).transform(native)
    got = HouseholderQuantizer(8, random_state=0).fit(rows).transform(rows)
    np.testing.assert_array_equal(got, want)


def test_a_mask_is_never_lost() -> None:
    masked = np.ma.masked_array(ROWS, mask=np.eye(300, 16, dtype=bool))
    quantizer = HouseholderQuantizer(8, random_state=0).fit(ROWS)
    for use in (quantizer.fit, quantizer.transform, quantizer.rotate, pack):
        with pytest.raises(InvalidInputError, match="masked"):
            use(masked)
    with pytest.raises(InvalidInputError, match="masked"):
        check_codes(np.ma.masked_array(np.zeros((2, 1), np.uint8), mask=[[True], [False]]), 8)
    unmasked = np.ma.masked_array(ROWS)  # nothing of it is masked
    np.testing.assert_array_equal(quantizer.transform(unmasked), quantizer.transform(ROWS))


@pytest.mark.parametrize("first", ["numpy", "torch"])
@pytest.mark.parametrize("max_samples", [60, 50_000])
def test_a_stream_of_numpy_and_torch(first: str, max_samples: int) -> None:
    torch = pytest.importorskip("torch")
    rows = ROWS - 1e6
    parts: list[Any] = [rows[:100], torch.tensor(rows[100:200]), rows[200:]]
    if first == "torch":
        parts = [torch.tensor(rows[:100]), rows[100:200], torch.tensor(rows[200:])]
    streamed = ITQQuantizer(8, random_state=0, max_samples=max_samples)
    for part in parts:
        streamed.partial_fit(part)
    whole = ITQQuantizer(8, random_state=0, max_samples=max_samples).fit(rows)
    agree = streamed.transform(rows) == whole.transform(rows)
    assert agree.mean() > 0.99


@pytest.mark.parametrize(
    "make", [HouseholderQuantizer, ITQQuantizer, RandomRotationQuantizer, SignQuantizer]
)
def test_set_output_holds_for_transform(make: Any) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(ROWS, columns=[f"c{i}" for i in range(16)])
    quantizer = make().set_output(transform="pandas")
    fitted, again = quantizer.fit_transform(frame), quantizer.transform(frame)
    pandas.testing.assert_frame_equal(fitted, again)
    assert list(again.columns) == list(quantizer.get_feature_names_out())
    assert list(again.index) == list(frame.index)
