"""Replies in, scores out: `spatialsv score`. It needs no model, no images and no GPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spatialsv.benchmarks.benchmark import Benchmark, Scorer, Scores
from spatialsv.benchmarks.item import Item
from spatialsv.benchmarks.names import benchmark
from spatialsv.benchmarks.replies import Allowed, read_replies
from spatialsv.manifest import write_json


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """Replies to one benchmark by one scorer's rules."""

    benchmark: str
    scorer: str
    scores: Scores
    items: int
    unread: int  # replies in which the rules found no answer
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """`overall` and the tasks' scores lie in [0, 1]."""
        tasks = {name: asdict(score) for name, score in self.scores.tasks.items()}
        told = {name: getattr(self, name) for name in ("benchmark", "scorer", "items", "unread")}
        return told | {
            "overall": self.scores.overall,
            "tasks": tasks,
            "warnings": list(self.warnings),
        }


def score(
    name: str,
    data: Path,
    replies: Path,
    scorer: str | None = None,
    allow: Collection[Allowed] = (),
    out: Path | None = None,
) -> Scoring:
    """Score a file of replies.

    Args:
        name: of a benchmark.
        data: the folder of its files, as its authors publish them.
        replies: JSON lines, as `read_replies` takes them.
        scorer: whose rules; None: the authors'.
        allow: as `read_replies` says.
        out: where JSON goes; None: nowhere.

    Raises:
        ValueError: an unknown benchmark or scorer, files that are not laid out as expected, ids
            that do not fit.
    """
    known = benchmark(name)
    scorer, _ = rules_of(name, known, scorer)
    items = load(name, known, data)
    said = read_replies(replies, (item.id for item in items), allow)
    scoring = scoring_of(name, scorer, known, items, said)
    if out is not None:
        write_json(out, scoring.to_json())
    return scoring


def rules_of(name: str, known: Benchmark, scorer: str | None) -> tuple[str, Scorer]:
    """A scorer's name and rules; None: the authors'.

    Raises:
        ValueError: there is none of this name.
    """
    scorer = scorer or next(iter(known.scorers))
    if scorer not in known.scorers:
        raise ValueError(f"{name}: no scorer {scorer!r}; known: {', '.join(known.scorers)}")
    return scorer, known.scorers[scorer]


def scoring_of(
    name: str, scorer: str, known: Benchmark, items: Sequence[Item], replies: Mapping[str, str]
) -> Scoring:
    """Replies by the items' ids, scored."""
    rules = known.scorers[scorer]
    values, unread = judged(items, replies, rules)
    return Scoring(
        benchmark=name,
        scorer=scorer,
        scores=rules.aggregate(list(zip(items, values, strict=True))),
        items=len(items),
        unread=unread,
        warnings=tuple(miscounted(items, known.counts)),
    )


def load(name: str, known: Benchmark, data: Path) -> list[Item]:
    """The benchmark's items, of which no two have one id.

    Raises:
        ValueError: two have, or there is no item.
    """
    items = known.load(data)
    ids = Counter(item.id for item in items)
    if twice := [name for name, count in ids.items() if count > 1]:
        raise ValueError(f"{data}: {len(twice)} ids of {name} occur twice, such as {twice[0]!r}")
    if not items:
        raise ValueError(f"{data}: no item of {name}")
    return items


def judged(
    items: Sequence[Item], replies: Mapping[str, str], rules: Scorer
) -> tuple[list[float | None], int]:
    """Each item's score, and how many replies could not be read."""
    said = [rules.read(item, replies[item.id]) for item in items]
    values = [rules.score(item, answer) for item, answer in zip(items, said, strict=True)]
    return values, sum(answer is None for answer in said)


def miscounted(items: Sequence[Item], published: Mapping[str, int | tuple[int, ...]]) -> list[str]:
    """A sentence for each task of which there are more or fewer items than were published."""
    found = Counter(item.task for item in items)
    if "overall" in published:
        found = Counter(overall=len(items))
    told = []
    for task in dict.fromkeys([*published, *found]) if published else ():
        known = published.get(task, 0)
        numbers = known if isinstance(known, tuple) else (known,)
        if found[task] not in numbers:
            said = " or ".join(map(str, numbers))
            told.append(f"{task}: {found[task]} items, published are {said}")
    return told


def table(scoring: Scoring) -> str:
    """The scores in per cent, a task a line."""
    width = max(map(len, [*scoring.scores.tasks, "overall"]))
    rows = [
        f"{name:<{width}}  {value.n:>6}  {100 * value.score:6.2f}"
        for name, value in scoring.scores.tasks.items()
    ]
    lines = [
        f"{scoring.benchmark}, scored by the rules of {scoring.scorer}",
        f"{'task':<{width}}  {'n':>6}  {'score':>6}",
        *rows,
        f"{'overall':<{width}}  {scoring.items:>6}  {100 * scoring.scores.overall:6.2f}",
    ]
    if scoring.unread:
        lines.append(f"no answer found in {scoring.unread} of {scoring.items} replies")
    return "\n".join([*lines, *(f"warning: {told}" for told in scoring.warnings)])
