"""Pictures of codes, and self-contained HTML pages.

Importing this package imports no matplotlib; `pictures` does when a picture is drawn.
"""

from h2q._moved import answer_for
from h2q.reports.page import Page

__all__ = ["Page"]

__getattr__ = answer_for(__name__)
