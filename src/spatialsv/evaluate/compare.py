"""`spatialsv compare RUN RUN`: two runs on the same questions, by task and in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spatialsv.evaluate.replies import read_replies
from spatialsv.manifest import read_manifest, write_json
from spatialsv.stats.comparison import compare, corrected
from spatialsv.stats.summary import GROUPS, Scored, groups


def compare_runs(first: Path, second: Path, out: Path | None = None) -> dict[str, Any]:
    """Compare two runs of the stage `evaluate`.

    Each task and each group of tasks by itself; p-values are corrected over the tasks together, and
    over the groups together (Holm).

    Args:
        first: its manifest, its folder, or its replies.jsonl.
        out: where JSON goes; None: nowhere.

    Returns: name -> the fields of `Comparison`, `p_holm` and `significant`.

    Raises:
        ValueError: a run that is not there, or other questions in the one than in the other.
    """
    ours, theirs = (_scored(run) for run in (first, second))
    ids = [{question.id for question in run} for run in (ours, theirs)]
    if ids[0] != ids[1]:
        only = [len(ids[0] - ids[1]), len(ids[1] - ids[0])]
        raise ValueError(
            f"{first} and {second} were not asked the same: {only[0]} questions only of the first,"
            f" {only[1]} only of the second"
        )
    tasks = {q.task: [p for p in ours if p.task == q.task] for q in ours}
    pools = {name: [p for p in ours if name in groups(p)] for name in GROUPS}
    found: dict[str, Any] = {}
    for parts in (tasks, pools):
        compared = {name: asdict(compare(part, theirs)) for name, part in parts.items() if part}
        found |= zip(compared, corrected(list(compared.values())), strict=True)
    if out is not None:
        write_json(out, found)
    return found


def table(found: dict[str, Any]) -> str:
    """A line a task and group: scores in per cent, differences in points."""
    width = max(map(len, found))
    head = f"{'':<{width}}  {'n':>5}  first  second  difference [95 %]        p (Holm)  could show"
    return "\n".join([head, *(f"{name:<{width}}  {_line(row)}" for name, row in found.items())])


def _line(row: dict[str, Any]) -> str:
    low, high = row["interval"] or (float("nan"),) * 2
    interval = f"[{100 * low:+.1f}, {100 * high:+.1f}]"
    least = row["smallest_difference"]
    could = f"{100 * least:.1f}" if least else "-"
    verdict = "significant" if row["significant"] else "not significant"
    return (
        f"{row['n']:>5}  {100 * row['first']:5.1f}  {100 * row['second']:6.1f}"
        f"  {100 * row['difference']:+6.1f} {interval:<15}  {row['p_holm']:8.3f}  {could:>10}"
        f"  {verdict}"
    )


def _scored(run: Path) -> Sequence[Scored]:
    path = run / "manifest.json" if run.is_dir() else run
    if path.suffix == ".json":
        path = read_manifest(path).find("replies.jsonl")
    if not path.is_file():
        raise ValueError(f"{path}: no such replies")
    return [reply.scored() for reply in read_replies(path)]
