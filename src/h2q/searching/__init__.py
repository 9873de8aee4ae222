"""Search a collection with a photo, embeddings or one of its own items; draw what was found."""

from h2q.searching.searcher import Hit, Query, Result, Searcher
from h2q.searching.sheets import draw_sheet, result_sheet

__all__ = ["Hit", "Query", "Result", "Searcher", "draw_sheet", "result_sheet"]
