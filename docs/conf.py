"""Sphinx configuration: `make docs` builds the site into build/docs."""

from h2q import __version__

project = "h2q"
copyright = "2026, the h2q authors"
release = __version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "myst_parser"]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = f"h2q {release}"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc sections already give types and shapes
autodoc_inherit_docstrings = False
napoleon_google_docstring = False
napoleon_use_rtype = False
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["results/**"]
# Field names such as n_bits stand in many classes; none of them is meant to be a link.
suppress_warnings = ["ref.python"]
