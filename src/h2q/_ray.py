"""Connecting to a Ray cluster, or saying why that cannot be done."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from h2q._lazy import require
from h2q._numbers import whole_number
from h2q.errors import H2QError, InvalidInputError


class ClusterError(H2QError):
    """The Ray cluster cannot be reached, or could not finish the work."""


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to the cluster at `address` and yield the module `ray`.

    A connection that is there already is used, and left open afterwards.

    Parameters
    ----------
    address : str
        "auto", "HOST:PORT" or "ray://HOST:PORT".

    Raises
    ------
    ClusterError
        If no cluster answers at `address`.
    MissingExtraError
        If Ray is not installed.
    """
    ray = require("ray", "ray")
    ours = not ray.is_initialized()
    if ours:
        _check_answers(address)
        try:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise _no_cluster(address, error) from error
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


def _check_answers(address: str) -> None:
    """Look whether anything listens: ray.init waits two minutes and then ends the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return  # "auto" or "local", which Ray resolves itself
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, reason: Exception) -> ClusterError:
    return ClusterError(
        f"no Ray cluster at {address!r}: {reason}; start one with 'ray start --head'"
    )


def check_workers(workers: int | None, ray: str | None) -> None:
    """Refuse a number of workers that is none, or that no cluster would be told.

    Raises
    ------
    InvalidInputError
    """
    if workers is None:
        return
    whole_number(workers, "workers")
    if ray is None:
        raise InvalidInputError(
            "workers are those of a Ray cluster: give its address (ray='auto', --ray auto), or "
            "leave workers out (--workers)"
        )
