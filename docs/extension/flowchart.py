"""Mermaid flowcharts as inline SVG, drawn while the site is built.

GitHub draws the same source. Understood are lines of nodes that `-->` connects, left to right.
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import TopologicalSorter
from html import escape
from itertools import pairwise

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

CHARACTER, HEIGHT, PADDING = 8.4, 34, 16  # pixels; the font has a fixed width
GAP_X, GAP_Y = 44, 20


class Flowchart(SphinxDirective):
    """The directive `mermaid`."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the drawing."""
        return [nodes.raw("", draw(list(self.content)), format="html")]


def draw(lines: list[str]) -> str:
    """Return the SVG of a flowchart.

    Args:
        lines: of the Mermaid source.

    Returns:
        The element `svg`. It takes its colours from the page.

    Raises:
        ValueError: the source is not a flowchart from left to right, or has another statement.
    """
    if not lines or lines[0].strip() != "flowchart LR":
        raise ValueError(f"A flowchart starts with `flowchart LR`, found {lines[:1]}.")
    edges: list[tuple[str, str]] = []
    for line in lines[1:]:
        names = [name.strip() for name in line.split("-->")]
        if not all(name.isidentifier() for name in names):
            raise ValueError(f"A flowchart has lines such as `a --> b`, found {line!r}.")
        edges += pairwise(names)
    boxes, (width, height) = _place(_columns(edges))
    parts = [*_arrows(edges, boxes), *_boxes(boxes)]
    return (
        f'<svg class="flowchart" role="img" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' style="max-width: {width:.0f}px"><title>{escape(", ".join(boxes))}</title>'
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8"'
        ' markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>'
        f"{''.join(parts)}</svg>"
    )


def _columns(edges: list[tuple[str, str]]) -> list[list[str]]:
    """Return the nodes by column: each stands right of all that lead to it."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for start, end in edges:
        sorter.add(end, start)
    sorter.prepare()
    columns = []
    while sorter.is_active():
        columns.append(list(sorter.get_ready()))
        sorter.done(*columns[-1])
    return columns


Box = tuple[float, float, float]  # left, top, width


def _place(columns: list[list[str]]) -> tuple[dict[str, Box], tuple[float, float]]:
    """Return the box of each node, columns centred, and the size of the drawing."""
    rows = max(map(len, columns))
    height = rows * HEIGHT + (rows - 1) * GAP_Y
    boxes, left = {}, 1.0
    for column in columns:
        width = max(map(len, column)) * CHARACTER + 2 * PADDING
        used = len(column) * HEIGHT + (len(column) - 1) * GAP_Y
        for row, name in enumerate(column):
            boxes[name] = (left, 1 + (height - used) / 2 + row * (HEIGHT + GAP_Y), width)
        left += width + GAP_X
    return boxes, (left - GAP_X + 1, height + 2)


def _boxes(boxes: dict[str, Box]) -> Iterator[str]:
    for name, (x, y, width) in boxes.items():
        yield f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{HEIGHT}" rx="5"/>'
        middle = x + width / 2, y + HEIGHT / 2
        yield f'<text x="{middle[0]:.1f}" y="{middle[1]:.1f}">{escape(name)}</text>'


def _arrows(edges: list[tuple[str, str]], boxes: dict[str, Box]) -> Iterator[str]:
    for start, end in edges:
        (x, y, width), (to_x, to_y, _) = boxes[start], boxes[end]
        x, y, to_y = x + width, y + HEIGHT / 2, to_y + HEIGHT / 2
        bend = x + GAP_X / 2  # the curve ends before the next column
        yield (
            f'<path class="arrow" d="M{x:.1f} {y:.1f} C{bend:.1f} {y:.1f} {bend:.1f} {to_y:.1f}'
            f' {x + GAP_X:.1f} {to_y:.1f} L{to_x:.1f} {to_y:.1f}"/>'
        )
