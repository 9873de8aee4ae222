"""The version, in one place; the build and `h2q --version` read it."""

__version__ = "0.1.0"
