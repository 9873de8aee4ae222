"""Old name of `h2q.rowfiles`, `h2q.ingest` and `h2q.searching`; gone in the next version."""

from h2q._moved import answer_for

__getattr__ = answer_for(__name__)
