"""What a server says of itself: metrics for Prometheus and one JSON line a request."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from h2q._version import __version__

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LOGGER: Final = logging.getLogger("h2q.serving")


class Metrics:
    """The metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "h2q_requests",
            "Requests answered.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "h2q_request_seconds",
            "Seconds until the answer was complete.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "h2q_requests_in_flight", "Requests being answered.", registry=self.registry
        )
        self.batches = Histogram(
            "h2q_photos_a_batch",
            "Photos embedded together.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )
        self.items = Gauge("h2q_items", "Items of the collection.", registry=self.registry)
        self.added = Counter("h2q_items_added", "Items added or replaced.", registry=self.registry)
        self.deleted = Counter("h2q_items_deleted", "Items deleted.", registry=self.registry)
        build = Gauge("h2q_build", "Version of h2q.", ["version"], registry=self.registry)
        build.labels(__version__).set(1)


class JsonLines(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line.update(getattr(record, "facts", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


def log_to_stderr(*, quiet: bool) -> None:
    """Write the log of this package to stderr; only warnings and errors where `quiet`.

    Of the server below it, errors alone: what a client sends that is no request is no news.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    below = logging.getLogger("uvicorn")
    for logger, level in ((LOGGER, logging.INFO), (below, logging.ERROR)):
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(max(level, logging.WARNING) if quiet else level)
