import os
import subprocess
import sys
from pathlib import Path

import pytest

from h2q.errors import FormatError
from h2q.experiments import Grid, JobFolder, Source
from h2q.experiments.jobs import Job, make_jobs
from h2q.experiments.quantizers import POST_HOC

GRID = Grid(losses=("cel",), bits=(16,), seeds=(0, 1), quantizations=("none", "itq"))


def jobs_of(grid: Grid = GRID, digest: str = "d1") -> list[Job]:
    return make_jobs(grid, lambda dataset, backbone: digest)


def test_where_the_data_lies_is_no_part_of_a_job_but_what_is_in_it_is() -> None:
    here = Grid(datasets=(Source("x", "npz:here.npz"),))
    there = Grid(datasets=(Source("x", "npz:there.npz"),))
    assert [j.id for j in jobs_of(here)] == [j.id for j in jobs_of(there)]
    assert not {j.id for j in jobs_of(here)} & {j.id for j in jobs_of(here, "d2")}


def test_asking_for_more_quantizations_does_not_make_another_job() -> None:
    more = Grid(losses=("cel",), bits=(16,), seeds=(0, 1), quantizations=POST_HOC)
    assert [j.id for j in jobs_of()] == [j.id for j in jobs_of(more)]


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 3},
        {"learning_rate": 0.5},
        {"top": 10},
        {"bits": (32,)},
        {"augment": "flip"},
        {"precision": "bf16"},
        {"schedule": "cosine"},
        {"validation_rows": 100},
    ],
)
def test_every_setting_is_part_of_a_job(changes: dict[str, object]) -> None:
    base = {"losses": ("cel",), "bits": (16,), "seeds": (0,), "quantizations": ("none",)}
    assert jobs_of(Grid(**base))[0].id != jobs_of(Grid(**{**base, **changes}))[0].id


def test_settings_added_later_leave_the_jobs_of_before_what_they_were() -> None:
    """A folder of results outlives the version that made it."""
    assert jobs_of(Grid(losses=("cel",), bits=(16,), seeds=(0,)))[0].id == "96ebde6bea968fd8"


def test_results_of_a_job_grow_and_what_is_judged_again_is_replaced(
    tmp_path: Path, make_result
) -> None:
    folder, job = JobFolder(tmp_path), jobs_of()[0]
    assert folder.missing(job) == ("none", "itq")
    folder.add(job, [make_result(value=0.1)])
    assert folder.missing(job) == ("itq",)
    folder.add(job, [make_result(value=0.2), make_result(quantization="itq")])
    assert folder.missing(job) == ()
    assert sorted((r.quantization, r.value) for r in folder.kept(job)) == [
        ("itq", 0.5),
        ("none", 0.2),
    ]


HOLD = """
import sys, time
from h2q.experiments import Grid, JobFolder
from h2q.experiments.jobs import make_jobs
grid = Grid(losses=("cel",), bits=(16,), seeds=(0, 1), quantizations=("none", "itq"))
job = make_jobs(grid, lambda dataset, backbone: "d1")[0]
with JobFolder(sys.argv[1]).claim(job) as ours:
    print(ours, flush=True)
    time.sleep(600)
"""


def test_a_job_is_held_by_one_process_and_free_again_when_that_is_killed(tmp_path: Path) -> None:
    folder, job = JobFolder(tmp_path), jobs_of()[0]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "True\n"
            with folder.claim(job) as ours:
                assert not ours
            assert folder.running() == [job.id]
        finally:
            other.kill()
    with folder.claim(job) as ours:
        assert ours


def test_a_job_is_held_once_in_a_process_too(tmp_path: Path) -> None:
    folder, job = JobFolder(tmp_path), jobs_of()[0]
    with folder.claim(job) as ours:
        assert ours
        with JobFolder(tmp_path).claim(job) as again:
            assert not again
        assert folder.running() == [job.id]
    assert folder.running() == []


FORKED = HOLD.replace("import sys", "import os, sys").replace(
    "    print(ours", "    os.fork() or (time.sleep(20), os._exit(0))\n    print(ours"
)


def test_a_child_that_outlives_a_killed_holder_does_not_keep_the_job(tmp_path: Path) -> None:
    folder, job = JobFolder(tmp_path), jobs_of()[0]
    with subprocess.Popen(
        [sys.executable, "-c", FORKED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        other.kill()
        os.waitpid(other.pid, 0)
        with folder.claim(job) as ours:
            assert ours
        other.stdout.close()


def test_status_counts_what_is_planned_done_and_failed(tmp_path: Path, make_result) -> None:
    folder, jobs = JobFolder(tmp_path), jobs_of()
    folder.plan(jobs)
    both = [make_result(quantization=name, job=jobs[0].id) for name in ("none", "itq")]
    folder.add(jobs[0], both)
    folder.add(jobs[1], [make_result(job=jobs[1].id)])
    folder.fail(jobs[1], "ValueError: no")
    status = folder.status()
    assert (status.planned, status.finished, status.running) == (2, 1, 0)
    assert "cel 16 bits #1" in status.failures[jobs[1].id]
    folder.plan(jobs_of(Grid(losses=("cel",), bits=(16,), seeds=(0,), quantizations=("h2q",))))
    assert (folder.status().planned, folder.status().finished) == (2, 0)


def test_a_job_that_succeeds_is_failed_no_more(tmp_path: Path, make_result) -> None:
    folder, job = JobFolder(tmp_path), jobs_of()[0]
    folder.fail(job, "ValueError: no")
    folder.add(job, [make_result()])
    assert folder.failures() == {}


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(FormatError, match=r"plan\.json"):
        folder.planned()
