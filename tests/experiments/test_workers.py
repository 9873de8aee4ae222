"""Real trainings on scikit-learn's digits, as small as they can be."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from h2q.evaluation import mean_average_precision
from h2q.experiments import (
    Grid,
    JobFolder,
    Source,
    make_grid,
    provenance,
    read_results,
    run_grid,
    workers,
)
from h2q.experiments.workers import Summary

pytest.importorskip("lightning", reason="training needs the extra 'train'")
TINY = make_grid(
    "digits", losses=("cel",), bits=(8,), seeds=(0,), epochs=1, quantizations=("none", "itq")
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of `TINY`, run."""
    folder = tmp_path_factory.mktemp("run")
    assert run_grid(TINY, folder) == Summary(done=1)
    return folder


def test_the_old_word_for_progress_works_and_warns(finished, tmp_path):
    told = []
    with pytest.warns(DeprecationWarning, match="'progress' is called 'on_progress' now"):
        run_grid(TINY, finished, progress=lambda job, outcome: told.append(outcome))
    assert len(told) == 1


def test_a_run_leaves_one_file_with_every_setting(finished: Path) -> None:
    results = read_results(finished / "results.parquet")
    assert {r.quantization for r in results} == {"none", "itq"}
    assert {(r.dataset, r.loss, r.bits, r.seed, r.epochs) for r in results} == {
        ("digits", "cel", 8, 0, 1)
    }
    maps = {
        (r.quantization, r.ranking): r.value
        for r in results
        if r.metric == "mAP@5000" and r.split == "query"
    }
    assert set(maps) == {
        *((name, r) for name in ("none", "itq") for r in ("hamming", "asymmetric", "embedding")),
        ("none", "cosine"),
    }
    assert all(0.1 < value <= 1 for value in maps.values())  # ten classes: chance is 0.1
    assert list((finished / "scratch").iterdir()) == []


def test_running_again_does_nothing(finished: Path) -> None:
    before = (finished / "results.parquet").read_bytes()
    assert run_grid(TINY, finished) == Summary(kept=1)
    assert (finished / "results.parquet").read_bytes() == before


def test_another_quantization_is_judged_from_the_same_embeddings(finished: Path) -> None:
    before = {
        (r.quantization, r.ranking, r.metric): r.value
        for r in read_results(finished)
        if "seconds" not in r.metric and r.split == "query"
    }
    trained = {r.value for r in read_results(finished) if r.metric == "training_seconds"}
    more = dataclasses.replace(TINY, quantizations=("none", "itq", "random"))
    assert run_grid(more, finished) == Summary(done=1)
    # A second training would have a time of its own.
    assert {r.value for r in read_results(finished) if r.metric == "training_seconds"} == trained
    after = {
        (r.quantization, r.ranking, r.metric): r.value
        for r in read_results(finished)
        if "seconds" not in r.metric and r.split == "query"
    }
    assert before.items() < after.items()
    assert {name for name, _, _ in after} == {"none", "itq", "random"}


def test_what_another_source_judged_is_judged_again_without_training(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = {r.value for r in read_results(finished) if r.metric == "training_seconds"}
    known = provenance.source_digest
    monkeypatch.setattr(
        "h2q.experiments.jobs.source_digest",
        lambda rooms=provenance.ALL: known(rooms) if rooms != provenance.ALL else "a later source",
    )
    monkeypatch.setattr("h2q.experiments.workers.source_digest", lambda: "a later source")
    assert run_grid(TINY, finished) == Summary(kept=1)
    assert run_grid(TINY, finished, refresh=True) == Summary(done=1)
    results = [r for r in read_results(finished) if r.quantization in TINY.quantizations]
    assert {r.source_digest for r in results} == {"a later source"}
    assert {r.value for r in results if r.metric == "training_seconds"} == trained
    assert run_grid(TINY, finished, refresh=True) == Summary(kept=1)


def test_a_job_that_fails_is_told_and_does_not_stop_the_others(tmp_path: Path) -> None:
    grid = dataclasses.replace(TINY, losses=("no_such_loss", "cel"), quantizations=("none",))
    assert run_grid(grid, tmp_path) == Summary(done=1, failed=1)
    (text,) = JobFolder(tmp_path).failures().values()
    assert "no_such_loss 8 bits #0" in text
    assert "there is no loss" in text
    assert run_grid(grid, tmp_path) == Summary(kept=1, failed=1)  # tried again


def test_embeddings_learned_elsewhere_are_judged_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 400)
    arrays = {
        f"cel_{bits}": rng.standard_normal((4, bits))[labels] + rng.standard_normal((400, bits))
        for bits in (8, 16)
    }
    split = np.repeat(["train", "query", "database"], [200, 50, 150])
    np.savez(tmp_path / "given.npz", labels=labels, split=split, **arrays)
    grid = Grid(
        datasets=(Source("given", f"npz:{tmp_path / 'given.npz'}"),),
        backbones=(Source("elsewhere", "embeddings"),),
        bits=(8, 16),
        seeds=(0,),
        quantizations=("none",),
    )
    assert run_grid(grid, tmp_path / "run") == Summary(done=2)
    found = {
        r.bits: r.value
        for r in read_results(tmp_path / "run")
        if r.split == "query" and (r.ranking, r.metric) == ("hamming", "mAP@5000")
    }
    query, database = split == "query", split == "database"
    for bits in (8, 16):
        rows = arrays[f"cel_{bits}"]
        assert found[bits] == pytest.approx(
            mean_average_precision(rows[query], rows[database], labels[query], labels[database])
        )


@pytest.mark.slow
def test_two_processes_share_the_jobs_and_give_the_results_of_one(
    tmp_path: Path, finished: Path
) -> None:
    grid = dataclasses.replace(TINY, seeds=(0, 1))
    assert run_grid(grid, tmp_path, workers=2) == Summary(done=2)
    kept = {"query", "validation"}

    def figures(folder: Path) -> set[tuple[object, ...]]:
        return {
            (r.quantization, r.split, r.ranking, r.metric, round(r.value, 6))
            for r in read_results(folder)
            if r.seed == 0 and r.split in kept and r.quantization in ("none", "itq")
        }

    assert figures(tmp_path) == figures(finished)


DRIVER = """
import sys
from h2q.experiments import make_grid, run_grid
if __name__ == "__main__":
    grid = make_grid("digits", losses=("cel",), bits=(8,), seeds=(0, 1, 2, 3), epochs=1,
                     quantizations=("none", "itq"))
    run_grid(grid, sys.argv[1], on_progress=lambda job, outcome: print(outcome, flush=True))
"""
FOUR: Grid = dataclasses.replace(TINY, seeds=(0, 1, 2, 3))


@pytest.mark.slow
def test_a_killed_run_keeps_whole_jobs_and_goes_on(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "done\n"
        time.sleep(0.2)  # the second job is under way
        os.kill(driver.pid, signal.SIGKILL)
    whole = list((tmp_path / "jobs").glob("*.parquet"))
    assert 1 <= len(whole) < 4
    assert run_grid(FOUR, tmp_path) == Summary(done=4 - len(whole), kept=len(whole))
    results = read_results(tmp_path / "results.parquet")
    assert {r.seed for r in results} == {0, 1, 2, 3}


def test_workers_share_out_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 5")
    assert workers.gpus() == ["3", "5"]
    monkeypatch.setattr(workers, "_end_with_parent", lambda: None)
    begun, seen = multiprocessing.get_context("spawn").Value("i", 0), []
    for _ in range(5):
        workers._begin(begun, ["3", "5"])
        seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert seen == ["3", "5", "3", "5", "3"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert len(workers.gpus()) == torch.cuda.device_count()
