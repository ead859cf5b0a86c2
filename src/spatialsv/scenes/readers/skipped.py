"""What is left out of data from outside: told one by one, and counted by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


class SkippedError(ValueError):
    """Something that is left out.

    Args:
        reason: a few words that are the same for all that is left out for it; they are counted.
        detail: what exactly.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


def count_reasons(what: str, errors: Iterable[SkippedError]) -> dict[str, int]:
    """How many there are, under the name `what`, and of each reason, under `what: reason`."""
    reasons = Counter(error.reason for error in errors)
    return {what: reasons.total()} | {f"{what}: {reason}": n for reason, n in reasons.items()}
