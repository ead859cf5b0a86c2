"""Seeds of the splits: disjoint ranges, so that no room occurs in two splits."""

from __future__ import annotations

SPAN = 10_000_000  # seeds per split
SPLITS = ("base", "teacher", "train", "unlabelled", "validation", "test")


def split_seeds(split: str, start: int, count: int) -> range:
    """Return the seeds of the rooms `start` to `start + count` of `split`.

    Raises:
        ValueError: the split is unknown or has fewer seeds.
    """
    if split not in SPLITS:
        raise ValueError(f"Unknown split {split!r}. Known splits: {', '.join(SPLITS)}.")
    if start < 0 or count < 0 or start + count > SPAN:
        raise ValueError(f"Rooms {start} to {start + count} exceed the {SPAN} seeds of a split.")
    first = SPLITS.index(split) * SPAN + start
    return range(first, first + count)


def split_of(seed: int) -> str:
    """Return the split that a seed belongs to."""
    return SPLITS[seed // SPAN]
