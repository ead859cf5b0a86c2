"""Which seeds belong to which split: disjoint ranges, so that nothing leaks between them."""

from __future__ import annotations

SPAN = 10_000_000  # seeds a split
SPLITS = ("base", "teacher", "train", "unlabelled", "validation", "test")


def split_seeds(split: str, start: int, count: int) -> range:
    """The seeds of rooms `start` to `start + count` of `split`.

    Raises:
        ValueError: an unknown split, or more rooms than a split has seeds.
    """
    if split not in SPLITS:
        raise ValueError(f"{split!r} is no split of the rooms; known: {', '.join(SPLITS)}")
    if start < 0 or count < 0 or start + count > SPAN:
        raise ValueError(f"rooms {start} to {start + count}: a split has {SPAN} seeds")
    first = SPLITS.index(split) * SPAN + start
    return range(first, first + count)


def split_of(seed: int) -> str:
    """The split that a seed belongs to."""
    return SPLITS[seed // SPAN]
