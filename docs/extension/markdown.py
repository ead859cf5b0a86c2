"""Markdown that a directive produces: parsed as if it stood in the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class MarkdownDirective(SphinxDirective):
    """A directive whose content is Markdown from the code; headings are those of the page."""

    def markdown(self) -> str:
        """Return the Markdown in place of the directive."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Parse the Markdown."""
        return self.parse_text_to_nodes(self.markdown(), allow_section_headings=True)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; `|` and line breaks in cells are escaped."""
    lines = [head, [":--"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def code(value: object) -> str:
    """Return inline code."""
    return f"`{value}`"
