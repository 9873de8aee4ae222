"""Comparison tables, pictures of codes, and self-contained HTML pages.

Importing this package imports no matplotlib; `pictures` does when a picture is drawn.
"""

from h2q.reports.comparison import Comparison, Split, compare_quantizers
from h2q.reports.page import Page

__all__ = ["Comparison", "Page", "Split", "compare_quantizers"]
