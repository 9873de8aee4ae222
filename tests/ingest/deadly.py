"""A task whose worker ends its own process at one unit, as one out of memory would."""

from __future__ import annotations

import os
from dataclasses import dataclass

from h2q.ingest.units import Result, Unit
from h2q.ingest.workers import Task, Worker


@dataclass(frozen=True)
class Deadly(Task):
    def worker(self) -> Worker:
        inner = Task.worker(self)

        def work(unit: Unit) -> Result:
            if unit.number == 5:
                os._exit(1)
            return inner(unit)

        return work
