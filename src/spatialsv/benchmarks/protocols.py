"""All scoring protocols of a benchmark on the same responses: `spatialsv score --protocol all`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatialsv.benchmarks.catalogue import find_benchmark, load_items, name_benchmark
from spatialsv.benchmarks.responses import Allowed, select_responses
from spatialsv.benchmarks.score import OVERALL, Scoring, read_any_responses, respond, score_items
from spatialsv.io.atomic import write_json


@dataclass(frozen=True, kw_only=True)
class AllScorings:
    """The scores of one model's responses to one benchmark under each of its protocols."""

    benchmark: str
    items: int
    scorings: Mapping[str, Scoring]  # by protocol

    def to_json(self) -> dict[str, Any]:
        """Return protocol -> the record of scores.json."""
        return {name: scoring.to_json() for name, scoring in self.scorings.items()}


def score_all(
    benchmark: str | None,
    data: Path,
    responses: Path,
    allow: Collection[Allowed] = (),
    out: Path | None = None,
) -> AllScorings:
    """Score a file of responses by every protocol of a benchmark.

    Args:
        benchmark: its name; None: `questions` if `data` is a file, else `rooms`.
        data: the folder of its files, as its authors publish them, or a file of your own questions.
        responses: a file as `read_any_responses` reads it.
        allow: deviations of ids to accept, as in `select_responses`.
        out: JSON file to write; None: none.

    Returns:
        The scores.

    Raises:
        ValueError: an unknown benchmark, files that are not laid out as expected, or ids that do
            not fit.
    """
    benchmark = name_benchmark(benchmark, data)
    known, items = find_benchmark(benchmark), load_items(benchmark, data)
    originals = read_any_responses(responses, items)
    texts = select_responses(originals, [item.id for item in items], responses, allow)
    scorings = {
        name: score_items(
            benchmark, name, known, items, [respond(i, protocol, texts[i.id]) for i in items]
        )
        for name, protocol in known.protocols.items()
    }
    found = AllScorings(benchmark=benchmark, items=len(items), scorings=scorings)
    if out is not None:
        write_json(out, found.to_json())
    return found


def format_all(found: AllScorings) -> str:
    """Return a table of scores in per cent, a column for each protocol, and a last line."""
    parts = {name: _column(scoring) for name, scoring in found.scorings.items()}
    tasks = [task for part in parts.values() for task in part if task != OVERALL]
    rows = [["task", *parts]]
    for task in dict.fromkeys([*tasks, OVERALL]):
        rows.append([task, *(part.get(task, "-") for part in parts.values())])
    rows.append(["95 %", *map(_interval, found.scorings.values())])
    rows.append(["no answer found", *(str(one.unparsed) for one in found.scorings.values())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]
    first = next(iter(found.scorings.values()))
    warnings = [f"warning: {warning}" for warning in first.warnings]
    end = f"{found.benchmark} (all protocols): {found.items:,} questions"
    return "\n".join([*lines, *warnings, end])


def _column(scoring: Scoring) -> dict[str, str]:
    trees = {**scoring.scores.tasks, OVERALL: scoring.scores.tree}
    return {task: f"{100 * tree.score:.2f}" for task, tree in trees.items()}


def _interval(scoring: Scoring) -> str:
    interval = scoring.intervals[OVERALL]
    return "-" if interval is None else "[{:.1f}, {:.1f}]".format(*(100 * x for x in interval))
