"""How arms are told apart in figures: by a colour of the page, and by dashes for who sees none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

COLOURS = 8  # classes c0, ..., c7 in style.css
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "12 4")


def arm_style(arm: str, order: Sequence[str]) -> str:
    """SVG attributes of an arm's lines: its colour's class, and its dashes."""
    index = list(order).index(arm)
    dashes = DASHES[index % len(DASHES)]
    return f'class="line {arm_class(arm, order)}"' + (
        f' stroke-dasharray="{dashes}"' if dashes else ""
    )


def arm_class(arm: str, order: Sequence[str]) -> str:
    """The CSS class of an arm's colour; the page has COLOURS of them."""
    return f"c{list(order).index(arm) % COLOURS}"


def legend(arms: Mapping[str, str], order: Sequence[str]) -> str:
    """Name beside line for each of `arms` {arm: label}."""
    keys = "".join(
        f'<li><svg viewBox="0 0 28 8" aria-hidden="true"><line {arm_style(arm, order)} x1="0" '
        f'x2="28" y1="4" y2="4"/></svg>{escape(label)}</li>'
        for arm, label in arms.items()
    )
    return f'<ul class="legend">{keys}</ul>'
