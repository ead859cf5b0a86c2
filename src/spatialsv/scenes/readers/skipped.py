"""Skipped records and frames: reported one by one and counted by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


class SkippedError(ValueError):
    """Input that is skipped.

    Args:
        reason: a short category, which is counted.
        detail: the file and the value.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


def count_reasons(what: str, errors: Iterable[SkippedError]) -> dict[str, int]:
    """Return the total under the key `what`, and the count of each reason under `what: reason`."""
    reasons = Counter(error.reason for error in errors)
    return {what: reasons.total()} | {f"{what}: {reason}": n for reason, n in reasons.items()}
