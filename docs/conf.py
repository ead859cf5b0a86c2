"""Sphinx configuration. `make docs` builds the site into build/docs."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / name) for name in ("docs", "workflow", "src")]

from spatialsv import __version__  # noqa: E402

project = "SpatialSV"
author = copyright = "SpatialSV contributors"
version = release = __version__
language = "en-GB"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "extension"]
exclude_patterns = ["extension"]
smartquotes = False  # dashes of options
default_role = "code"  # docstrings put code into single backticks, as Markdown does

# The pages are read on GitHub as well: links and anchors are GitHub's.
myst_enable_extensions = ["dollarmath", "attrs_block"]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
maximum_signature_line_length = 80

nitpicky = True
# Types of other packages and of the standard library: links to their pages would need the network.
nitpick_ignore_regex = [
    ("py:.*", r"(?!spatialsv\b).*"),
    ("py:class", r"spatialsv\.scenes\.scene\.S"),  # a type variable
    ("py:class", r"spatialsv\.scenes\.store\.chunks\.Chunks"),  # how a SceneRef reads, internal
]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_title = "SpatialSV"
html_copy_source = False
html_show_sphinx = False
