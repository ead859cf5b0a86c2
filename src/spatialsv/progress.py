"""One progress bar for every loop that takes longer than a few seconds."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], label: str, total: int | None = None) -> tqdm[T]:
    """Return `items` with a progress bar on standard error; log files get a line every 10 s."""
    to_terminal = sys.stderr.isatty()
    return tqdm(
        items,
        desc=label,
        total=total,
        mininterval=0.2 if to_terminal else 10.0,
        ascii=not to_terminal,
        dynamic_ncols=to_terminal,
        file=sys.stderr,
    )
