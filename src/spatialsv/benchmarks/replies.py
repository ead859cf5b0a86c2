"""Replies to a benchmark: JSON lines `{"id": ..., "reply": ...}`, one for each question."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal

from spatialsv.benchmarks.files import rows_of

Allowed = Literal["missing", "duplicate", "unknown"]
SHOWN = 5  # ids that an error names


def read_replies(path: Path, ids: Iterable[str], allow: Collection[Allowed] = ()) -> dict[str, str]:
    """The reply to each question, by its id.

    Args:
        ids: of the benchmark's questions.
        allow: what is no error: `missing` replies (an empty one stands in, and scores as such),
            `duplicate` ids (the last one counts), `unknown` ids (left out).

    Raises:
        ValueError: a line that is no reply, or what is not allowed; with lines and ids.
    """
    if path.suffix != ".jsonl":
        raise ValueError(f"{path}: expected JSON lines, in a file *.jsonl")
    known, replies = list(ids), {}
    seen: dict[str, list[str]] = {"missing": [], "duplicate": [], "unknown": []}
    wanted = set(known)
    for number, row in enumerate(rows_of(path), start=1):
        name, reply = row.get("id"), row.get("reply")
        if isinstance(name, bool) or not isinstance(name, str | int) or not isinstance(reply, str):
            raise ValueError(f'{path}: record {number}: expected {{"id": ..., "reply": "..."}}')
        name = str(name)
        if name not in wanted:
            seen["unknown"].append(name)
            continue
        if name in replies:
            seen["duplicate"].append(name)
        replies[name] = reply
    seen["missing"] = [name for name in known if name not in replies]
    for what, names in seen.items():
        if names and what not in allow:
            told = ", ".join(map(repr, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
            raise ValueError(
                f"{path}: {len(names)} {what} of {len(known)} ids: {told};"
                f" --allow {what} lets them pass"
            )
    return {name: replies.get(name, "") for name in known}
