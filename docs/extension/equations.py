"""Equations as MathML, which browsers draw without a script."""

from __future__ import annotations

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.writers.html5 import HTML5Translator


def inline_equation(translator: HTML5Translator, node: nodes.math) -> None:
    """Write an equation within a line."""
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def display_equation(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write an equation in its own lines."""
    translator.body.append(
        f'<div class="equation">{tex2mathml(node.astext(), as_block=True)}</div>'
    )
    raise nodes.SkipNode
