"""The line that every command ends with: `command: what was done; where the result is`."""

from __future__ import annotations

import re


def closing_line(printed: str, command: str) -> str:
    """Return the last line of what a command printed, after checking its form."""
    last = printed.rstrip("\n").rpartition("\n")[2]
    assert re.fullmatch(rf"{command}: [^;]+; .*\S", last), last
    return last
