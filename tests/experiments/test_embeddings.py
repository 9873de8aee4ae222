from pathlib import Path

import numpy as np
import pytest

from h2q.experiments.embeddings import Embeddings, load_embeddings, save_embeddings

LABELS = {"train": np.arange(4), "query": np.arange(2)}
ROWS = {name: np.random.default_rng(0).standard_normal((len(y), 3)).astype(np.float32)
        for name, y in LABELS.items()}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "new" / "job.safetensors"
    save_embeddings(path, Embeddings(ROWS, LABELS, "l2", 1.5, 0.1), "d1")
    return path


def test_what_was_kept_comes_back(path: Path) -> None:
    found = load_embeddings(path, LABELS, "d1")
    assert found is not None
    assert (found.penalty, found.seconds, found.cpu_seconds) == ("l2", 1.5, 0.1)
    for name in LABELS:
        assert np.array_equal(found.rows[name], ROWS[name])
        assert found.rows[name].dtype == np.float32
        assert np.array_equal(found.labels[name], LABELS[name])


def test_nothing_comes_from_another_source_or_another_data_set(path: Path) -> None:
    assert load_embeddings(path, LABELS, "d2") is None
    assert load_embeddings(path, {**LABELS, "database": np.arange(3)}, "d1") is None
    assert load_embeddings(path, {**LABELS, "query": np.arange(3)}, "d1") is None
    assert load_embeddings(path.with_name("none.safetensors"), LABELS, "d1") is None


@pytest.mark.parametrize("length", [0, 7, 40, -1])
def test_a_truncated_file_is_as_none(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])
    assert load_embeddings(path, LABELS, "d1") is None
