"""What is said of a folder of part files that was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from h2q.cli import _console
from h2q.cli._skipped import end, list_skipped

if TYPE_CHECKING:
    from h2q.ingest import PartsReport


def print_parts(report: PartsReport, what: str, *, json: bool) -> None:
    """Print what was written, and end with the code for skipped inputs if there are any."""
    list_skipped(report.skipped)
    if json:
        shown: dict[str, Any] = {
            "manifest": report.manifest,
            "rows": report.rows,
            "parts": report.parts,
            "kept": report.kept,
            "skipped": [{"path": each.path, "reason": each.reason} for each in report.skipped],
        }
        _console.print_json(shown)
    else:
        before = f", {report.kept} of them there before" if report.kept else ""
        _console.out().print(
            f"{report.rows:,} {what} in {report.parts} parts{before} -> {report.manifest}",
            markup=False,
        )
    end(report.skipped)
