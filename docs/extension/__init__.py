"""Sphinx extension of this site: pages from the code, and no access to the network.

Directives write reference pages from the objects that the program itself uses. Diagrams and
equations become SVG and MathML while the site is built.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

from extension.api import PythonApi, add_fields
from extension.commands import CommandHelp
from extension.contents import add_contents
from extension.equations import display_equation, inline_equation
from extension.flowchart import Flowchart
from extension.formats import Fields, Tables, Variables
from extension.repository import LinksToTheRepository, source_pages
from extension.settings import Settings


def setup(app: Sphinx) -> dict[str, Any]:
    """Register all parts."""
    app.add_directive("mermaid", Flowchart)
    app.add_directive("settings", Settings)
    app.add_directive("commands", CommandHelp)
    app.add_directive("python-api", PythonApi)
    app.add_directive("fields", Fields)
    app.add_directive("variables", Variables)
    app.add_directive("tables", Tables)
    app.add_html_math_renderer("mathml", (inline_equation, None), (display_equation, None))
    app.add_post_transform(LinksToTheRepository)
    app.connect("autodoc-process-docstring", add_fields, priority=400)  # before napoleon
    app.connect("source-read", add_contents)
    app.connect("html-collect-pages", source_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
