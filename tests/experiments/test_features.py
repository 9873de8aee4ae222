from pathlib import Path

import numpy as np
import pytest

from h2q.datasets import load_dataset
from h2q.errors import InvalidInputError
from h2q.experiments.features import extract_features, project, write_features

pytest.importorskip("timm", reason="backbones need the extra 'train'")


def test_features_are_read_back_as_a_data_set_of_the_same_splits(tmp_path: Path) -> None:
    digits = load_dataset("digits")
    path = extract_features(digits, "digits-cnn", tmp_path / "digits.npz", components=32)
    back = load_dataset(f"npz:{path}")
    for (split, items), (_, found) in zip(digits.splits(), back.splits(), strict=True):
        assert found.ids == items.ids, split
        assert (found.labels == items.labels).all()
        assert found.features is not None
        assert found.features.shape == (len(items), 32)
    assert back.classes == digits.classes
    assert np.linalg.norm(back.train.features, axis=1).mean() == pytest.approx(32**0.5, rel=1e-3)


def test_components_are_those_of_the_training_rows() -> None:
    rng = np.random.default_rng(0)
    basis = np.diag([9.0, 4.0, 0.1, 0.1])
    rows = {
        s: (rng.standard_normal((500, 4)) @ basis + 7).astype(np.float32)
        for s in ("train", "query")
    }
    found = project(rows, 2)
    covariance = np.cov(found["train"].T)
    assert abs(covariance[0, 1]) < 1e-3
    assert covariance[0, 0] / covariance[1, 1] == pytest.approx(81 / 16, rel=0.3)
    assert abs(np.corrcoef(found["query"][:, 0], rows["query"][:, 0])[0, 1]) > 0.99


@pytest.mark.parametrize(("components", "crop"), [(1000, None), (None, 0.0), (None, 1.5)])
def test_settings_that_cannot_be_are_refused(
    tmp_path: Path, components: int | None, crop: float | None
) -> None:
    with pytest.raises(InvalidInputError, match=r"components must be|crop is a share"):
        extract_features(
            load_dataset("digits"),
            "digits-cnn",
            tmp_path / "x.npz",
            components=components,
            crop=crop,
        )
    assert not (tmp_path / "x.npz").exists()


def test_rows_that_do_not_fit_the_items_are_refused(tmp_path: Path) -> None:
    digits = load_dataset("digits")
    rows = {split: np.ones((3, 4), dtype=np.float32) for split, _ in digits.splits()}
    with pytest.raises(InvalidInputError, match="3 rows for 899 items"):
        write_features(digits, rows, tmp_path / "x.npz")
