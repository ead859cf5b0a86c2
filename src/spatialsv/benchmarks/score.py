"""Replies in, scores out: `spatialsv score`. It needs no model, no images and no GPU."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatialsv.benchmarks.benchmark import Benchmark, Scorer, Scores
from spatialsv.benchmarks.chance import frequency, random
from spatialsv.benchmarks.item import Item
from spatialsv.benchmarks.names import benchmark
from spatialsv.benchmarks.replies import Allowed, read_replies
from spatialsv.io.atomic import write_json
from spatialsv.io.manifest import read_manifest
from spatialsv.stats.intervals import Interval, intervals
from spatialsv.stats.means import Tree, clusters_of

OVERALL = "overall"


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """Replies to one benchmark by one scorer's rules."""

    benchmark: str
    scorer: str
    scores: Scores
    intervals: Mapping[str, Interval | None]  # 95 %, of each task and of OVERALL, by scene
    beside: Mapping[str, Scores]  # random, frequency, blind
    items: int
    unread: int  # replies in which the rules found no answer
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """`overall` and the tasks' scores lie in [0, 1]; what is not known is null."""
        told = {name: getattr(self, name) for name in ("benchmark", "scorer", "items", "unread")}
        told |= {"overall": _known(self.scores.overall)} | self._about(OVERALL, self.scores.whole)
        tasks = {
            name: {"n": value.n, "score": _known(value.score)} | self._about(name, value)
            for name, value in self.scores.tasks.items()
        }
        return told | {"tasks": tasks, "warnings": list(self.warnings)}

    def _about(self, name: str, value: Tree) -> dict[str, Any]:
        """A score's interval, the scenes it is over, and what stands beside it."""
        interval = self.intervals[name]
        found: dict[str, Any] = {"interval": interval and list(interval)}
        found["scenes"] = len(clusters_of(value))
        return found | {kind: self.compared(kind, name) for kind in self.beside}

    def compared(self, kind: str, name: str) -> float | None:
        """What stands beside a task's score, or the overall one; None where it is not known."""
        scores = self.beside[kind]
        value = scores.whole if name == OVERALL else scores.tasks.get(name)
        return None if value is None else _known(value.score)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def score(
    name: str,
    data: Path,
    replies: Path,
    scorer: str | None = None,
    allow: Collection[Allowed] = (),
    out: Path | None = None,
    blind: Path | None = None,
) -> Scoring:
    """Score a file of replies.

    Args:
        name: of a benchmark.
        data: the folder of its files, as its authors publish them.
        replies: JSON lines, as `read_replies` takes them.
        scorer: whose rules; None: the authors'.
        allow: as `read_replies` says.
        out: where JSON goes; None: nowhere.
        blind: replies of the same model to the text alone, scored beside.

    Raises:
        ValueError: an unknown benchmark or scorer, files that are not laid out as expected, ids
            that do not fit.
    """
    known = benchmark(name)
    scorer, _ = rules_of(name, known, scorer)
    items = load(name, known, data)
    ids = [item.id for item in items]
    said = read_replies(replies, ids, allow)
    unseen = None if blind is None else read_blind(blind, ids, allow)
    scoring = scoring_of(name, scorer, known, items, said, unseen)
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


def read_blind(path: Path, ids: Sequence[str], allow: Collection[Allowed] = ()) -> dict[str, str]:
    """Replies of a run that was shown nothing but text.

    Raises:
        ValueError: as `read_replies` does, or the run's manifest says that it was shown more.
    """
    told = path.parent / "manifest.json"
    if told.is_file() and not read_manifest(told).about.get("blank_images", True):
        raise ValueError(f"{path}: not blind: its run was shown images; ask with blank_images")
    return read_replies(path, ids, allow)


def scoring_of(
    name: str,
    scorer: str,
    known: Benchmark,
    items: Sequence[Item],
    replies: Mapping[str, str],
    blind: Mapping[str, str] | None = None,
) -> Scoring:
    """Replies by the items' ids, scored; `blind` ones beside them."""
    rules = known.scorers[scorer]
    values, unread = judged(items, replies, rules)
    scores = rules.aggregate(list(zip(items, values, strict=True)))
    beside = {"random": random(items, rules), "frequency": frequency(items, rules)}
    if blind is not None:
        unseen, _ = judged(items, blind, rules)
        beside["blind"] = rules.aggregate(list(zip(items, unseen, strict=True)))
    return Scoring(
        benchmark=name,
        scorer=scorer,
        scores=scores,
        intervals=dict(
            zip(
                (*scores.tasks, OVERALL),
                intervals([*scores.tasks.values(), scores.whole]),
                strict=True,
            )
        ),
        beside=beside,
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
    """The scores in per cent, a task a line, with 95 % intervals and what stands beside them."""
    width = max(map(len, [*scoring.scores.tasks, OVERALL]))
    beside = "".join(f"  {kind:>9}" for kind in scoring.beside)
    lines = [
        f"{scoring.benchmark}, scored by the rules of {scoring.scorer}",
        f"{'task':<{width}}  {'n':>6}  {'score':>6}  {'95 %':<14}{beside}",
        *(
            f"{name:<{width}}  {_line(scoring, name, value.n, value.score)}"
            for name, value in scoring.scores.tasks.items()
        ),
        f"{OVERALL:<{width}}  {_line(scoring, OVERALL, scoring.items, scoring.scores.overall)}",
        "frequency: the one answer to each task that scores best on these very questions",
    ]
    if scoring.unread:
        lines.append(f"no answer found in {scoring.unread} of {scoring.items} replies")
    return "\n".join([*lines, *(f"warning: {told}" for told in scoring.warnings)])


def _line(scoring: Scoring, name: str, n: int, value: float) -> str:
    interval = scoring.intervals[name]
    reach = "[{:.1f}, {:.1f}]".format(*(100 * end for end in interval)) if interval else "-"
    known = (scoring.compared(kind, name) for kind in scoring.beside)
    beside = "".join(f"  {'-' if told is None else f'{100 * told:.2f}':>9}" for told in known)
    return f"{n:>6}  {100 * value:6.2f}  {reach:<14}{beside}".rstrip()
