"""`h2q paper`: the paper's experiment, its tables, figures and report."""

from __future__ import annotations

from h2q.cli.paper._shared import paper

# ruff: noqa: F401
# isort: off
# Each module adds its verbs to the group; the help page lists them in this order.
import h2q.cli.paper.run
import h2q.cli.paper.features
import h2q.cli.paper.results
import h2q.cli.paper.pictures

__all__ = ["paper"]
