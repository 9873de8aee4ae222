"""The paper's experiment as a grid of jobs, with its tables, figures and report.

``grid.py`` says what is run, ``jobs.py`` what one job is, ``folder.py`` how it is done once and
kept, ``training.py`` and ``judging.py`` what a job does, ``provenance.py`` what made it,
``workers.py`` and ``cluster.py`` where jobs run, ``storage.py`` what stays; ``summary.py``,
``intervals.py``, ``compare.py``, ``table.py``, ``figures.py`` and ``report.py`` read that.
"""

from __future__ import annotations

from h2q.experiments.folder import JobFolder
from h2q.experiments.grid import PRESETS, Grid, Source, Training, make_grid
from h2q.experiments.jobs import Job, run_job
from h2q.experiments.results import Result
from h2q.experiments.storage import read_results, write_results
from h2q.experiments.workers import run_grid

__all__ = [
    "PRESETS",
    "Grid",
    "Job",
    "JobFolder",
    "Result",
    "Source",
    "Training",
    "make_grid",
    "read_results",
    "run_grid",
    "run_job",
    "write_results",
]
