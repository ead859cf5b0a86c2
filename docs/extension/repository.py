"""Links from pages to other files of the repository, which GitHub resolves by itself.

A link to a page outside docs/, such as the changelog, leads to the page that includes it. A link to
a source file leads to a page that shows it; if the link's text is a name that the file defines, to
the line of its definition.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

ROOT = Path(__file__).parents[2]
PAGES = {"CHANGELOG.md": "changelog", "CONTRIBUTING.md": "contributing"}
FOLDER = "source"  # of the pages with source files
LEXERS = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}


class LinksToTheRepository(SphinxPostTransform):
    """Replace references to files outside docs/ by links to pages."""

    default_priority = 5  # before references are resolved

    def run(self, **kwargs: Any) -> None:
        """Replace those of one page."""
        for node in self.document.findall(addnodes.pending_xref):
            name, _, anchor = node["reftarget"].partition("#")
            page = PAGES.get(Path(name).with_suffix(".md").name)
            if node.get("reftype") == "myst" and page and name != page:
                node["refdomain"], node["reftarget"] = "doc", page
                node.setdefault("reftargetid", anchor or None)
        for node in list(self.document.findall(addnodes.download_reference)):
            path = (Path(self.env.doc2path(self.env.docname)).parent / node["reftarget"]).resolve()
            relative = path.relative_to(ROOT).as_posix()
            if path.suffix not in LEXERS:
                continue
            target = f"{FOLDER}/{relative}"
            _linked(self.env).add(relative)
            line = find_line(path, node.astext())
            uri = self.app.builder.get_relative_uri(self.env.docname, target)
            link = nodes.reference("", "", *node.children, internal=True)
            link["refuri"] = f"{uri}#line-{line}" if line else uri
            node.replace_self(link)


def find_line(path: Path, text: str) -> int | None:
    """Return the line where a Python file defines the name that a link's text ends in."""
    if path.suffix != ".py":
        return None
    name = text.rpartition(".")[2].removesuffix("()")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node.lineno
    return None


def source_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Return the pages with source files, as Sphinx's own viewcode does."""
    builder: Any = app.builder
    for relative in sorted(_linked(app.env)):
        path = ROOT / relative
        body = builder.highlighter.highlight_block(
            path.read_text(), LEXERS[path.suffix], linenos="inline", lineanchors="line"
        )
        title = escape(relative)
        context = {"title": title, "body": f"<h1>{title}</h1>{body}"}
        yield f"{FOLDER}/{relative}", context, "page.html"


def _linked(env: Any) -> set[str]:
    """Return the set of all source files that pages link to, in Sphinx's environment."""
    found: set[str] = env.__dict__.setdefault("spatialsv_sources", set())
    return found
