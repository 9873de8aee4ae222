"""Errors a user can meet. Each names the input that caused it and the remedy."""

from __future__ import annotations

import sys
from typing import Any

from h2q._addresses import hush, without_secrets


class H2QError(Exception):
    """Base of every error h2q raises on purpose; the command line prints it without a traceback.

    No message holds the password of an address: it is taken out here, whoever put it in; and out of
    the error of another library that is being handled, which becomes its cause.
    """

    def __init__(self, *arguments: Any) -> None:
        shown = (without_secrets(each) if isinstance(each, str) else each for each in arguments)
        super().__init__(*shown)
        hush(sys.exception())


class InvalidInputError(H2QError, ValueError):
    """An array, label, query or argument cannot be used as given."""


class FormatError(H2QError, ValueError):
    """A file is truncated, is not one of ours, or has a format version we cannot read."""


class ImageError(H2QError, ValueError):
    """An image cannot be read, or is too large to be read safely."""


class CollectionError(H2QError):
    """A collection cannot be opened, read or written as asked."""


class CompatibilityError(CollectionError, ValueError):
    """A collection was made with another bit length, quantizer, model or format version."""


class MissingExtraError(H2QError, ImportError):
    """An optional dependency is not installed; the message gives the `pip install` to run."""
