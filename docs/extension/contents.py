"""Tables of contents: an index page contains the pages that it links to, in this order."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

LINK = re.compile(r"\]\(([\w/-]+)\.md\)")


def add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Append a hidden table of contents to an index page.

    The site's index contains the indexes of the sections and the pages beside itself, for it also
    links to single pages of sections.
    """
    if docname.rpartition("/")[2] != "index":
        return
    pages = list(dict.fromkeys(LINK.findall(source[0])))
    if docname == "index":
        pages = [page for page in pages if "/" not in page or page.endswith("/index")]
    source[0] += "\n".join(["", "```{toctree}", ":hidden:", "", *pages, "```", ""])
