"""`spatialsv compare RUN RUN`: runs on the same questions, of rooms or of a benchmark.

By task and in all, of one seed of training a side or of several.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatialsv.benchmarks.files import rows_of
from spatialsv.benchmarks.names import benchmark
from spatialsv.benchmarks.replies import Allowed
from spatialsv.benchmarks.replies import read_replies as read_benchmark_replies
from spatialsv.benchmarks.score import OVERALL, judged, load, rules_of
from spatialsv.evaluate.replies import read_replies
from spatialsv.io.atomic import write_json
from spatialsv.io.manifest import read_manifest
from spatialsv.stats.comparison import Comparison, compare_jointly, compare_scores
from spatialsv.stats.means import Mean, Tree
from spatialsv.stats.summary import GROUPS, QuestionScore, groups_of

Parts = Sequence[Mapping[str, Tree]]  # scores by name; p-values are corrected within each part


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """What replies to a benchmark are scored by; of rooms nothing is needed."""

    benchmark: str | None = None  # None: as the runs' manifests say; else rooms
    data: Path | None = None  # the folder of the benchmark's files
    protocol: str | None = None  # scoring protocol; None: as the manifests say, else the authors'
    allow: Collection[Allowed] = ()  # as for `spatialsv score`


@dataclass(frozen=True)
class _Run:
    named: Path  # as given
    replies: Path
    about: Mapping[str, Any]  # what its manifest tells; nothing of bare replies


def compare_runs(
    runs: Sequence[Path],
    against: Sequence[Path] = (),
    config: CompareConfig | None = None,
    out: Path | None = None,
) -> dict[str, Any]:
    """Compare two models that were asked the same, at one seed of training each or at several.

    Each task, and each group of tasks or the overall score, by itself; p-values are corrected over
    the tasks together, and over the others together (Holm).

    Args:
        runs: of the first model, one a seed: its manifest, its folder, or its replies.jsonl. Or
            two runs, one of each model.
        against: those of the second model, if it has several.
        out: where JSON goes; None: nowhere.

    Returns: name -> the fields of `Comparison`, `p_holm` and `significant`.

    Raises:
        ValueError: a run that is not there, other questions, another benchmark or scorer in the one
            than in the other, or one model twice among the seeds of a side.
    """
    config = config or CompareConfig()
    first, second = runs, against
    if not second:
        if len(first) != 2:
            raise ValueError(
                f"{len(first)} runs given: give two, or those of the second model with --against."
            )
        first, second = first[:1], first[1:]
    sides = [[_run(path) for path in side] for side in (first, second)]
    for side in sides:
        _refuse_twins(side)
    loaded = [run for side in sides for run in side]
    name = _agreed(loaded, "benchmark", config.benchmark)
    parts = _of_rooms(loaded) if name is None else _of_benchmark(loaded, name, config)
    ours, theirs = parts[: len(first)], parts[len(first) :]
    found: dict[str, Any] = {}
    for number, part in enumerate(ours[0]):
        compared: dict[str, Comparison] = {}
        for score in part:
            pair = ([_named(parts[number], score) for parts in side] for side in (ours, theirs))
            compared[score] = compare_scores(*pair)
        found |= zip(compared, compare_jointly([*compared.values()]), strict=True)
    if out is not None:
        write_json(out, found)
    return found


def _named(scores: Mapping[str, Tree], name: str) -> Tree:
    if name not in scores:
        raise ValueError(f"{name}: one run has no score of it, so that it cannot be compared")
    return scores[name]


def _run(path: Path) -> _Run:
    told = path / "manifest.json" if path.is_dir() else path
    if told.suffix != ".json":
        told = path.parent / "manifest.json"
        about = read_manifest(told).about if told.is_file() else {}
        run = _Run(path, path, about)
    else:
        manifest = read_manifest(told)
        run = _Run(path, manifest.find("replies.jsonl"), manifest.about)
    if not run.replies.is_file():
        raise ValueError(f"{run.replies}: no such replies")
    return run


def _refuse_twins(side: Sequence[_Run]) -> None:
    """Refuse a seed that is counted twice: no spread is shown by it.

    Raises:
        ValueError: two runs are of one model that was asked alike.
    """
    seen: dict[frozenset[str], Path] = {}
    for run in side if len(side) > 1 else ():
        keys = frozenset(key for line in rows_of(run.replies) if (key := line.get("key")))
        if keys and keys in seen:
            raise ValueError(
                f"{run.named} and {seen[keys]} are one model, asked alike: give each seed once"
            )
        seen[keys] = run.named


def _agreed(runs: Sequence[_Run], what: str, given: str | None) -> str | None:
    """The benchmark, or its scorer, of all runs; bare replies have what is given.

    Raises:
        ValueError: runs differ, or one differs from what is given.
    """
    knowing = [run for run in runs if run.about or what == "benchmark"]
    if not knowing:
        return given
    told = {run.named: run.about.get(what, given) for run in knowing}
    one, value = next(iter(told.items()))
    for other, its in told.items():
        if its != value:
            raise ValueError(
                f"{one} and {other} cannot be compared: their {what} is {value or 'rooms'} in the"
                f" one, {its or 'rooms'} in the other"
            )
    if given is not None and value != given:
        raise ValueError(f"{one}: its {what} is {value}, not {given}")
    return value


def _of_benchmark(runs: Sequence[_Run], name: str, config: CompareConfig) -> list[Parts]:
    """The scores of each run: of tasks, and overall."""
    known = benchmark(name)
    if config.data is None:
        raise ValueError(f"{runs[0].named}: give --data, the folder of the files of {name}")
    scorer = config.protocol or _agreed(runs, "scorer", None)
    _, rules = rules_of(name, known, scorer)
    items = load(name, known, config.data)
    ids, found = [item.id for item in items], []
    for run in runs:
        said = read_benchmark_replies(run.replies, ids, config.allow)
        values, _ = judged(items, said, rules)
        scores = rules.aggregate(list(zip(items, values, strict=True)))
        found.append((scores.tasks, {OVERALL: scores.whole}))
    return found


def _of_rooms(runs: Sequence[_Run]) -> list[Parts]:
    """The scores of each run: of tasks, and of GROUPS."""
    scored = [_scored(run) for run in runs]
    for run, answers in zip(runs, scored, strict=True):
        ids, others = scored[0].keys(), answers.keys()
        if ids != others:
            raise ValueError(
                f"{runs[0].named} and {run.named} were not asked the same: {len(ids - others)}"
                f" questions only of the first, {len(others - ids)} only of the second"
            )
    return [_tasks_and_groups([answers[name] for name in scored[0]]) for answers in scored]


def _scored(run: _Run) -> dict[str, QuestionScore]:
    try:
        return {reply.id: reply.scored() for reply in read_replies(run.replies)}
    except ValueError as error:
        hint = "" if run.about else "; of replies to a benchmark, tell its name by --benchmark"
        raise ValueError(f"{error}{hint}") from None


def _tasks_and_groups(questions: Sequence[QuestionScore]) -> Parts:
    tasks = dict.fromkeys(question.task for question in questions)
    pools = {name: [q for q in questions if name in groups_of(q)] for name in GROUPS}
    return (
        {task: _mean([q for q in questions if q.task == task]) for task in tasks},
        {name: _mean(members) for name, members in pools.items() if members},
    )


def _mean(questions: Sequence[QuestionScore]) -> Mean:
    return Mean(tuple(q.score for q in questions), tuple(q.scene for q in questions))


def table(found: Mapping[str, Any]) -> str:
    """A line a task and group: scores in per cent, differences in points."""
    width = max(map(len, found))
    seeds = [next(iter(found.values()))[f"{side}_seeds"]["n"] for side in ("first", "second")]
    head = f"{'':<{width}}  {'n':>5}  {'first':>11}  {'second':>11}  difference [95 %]      "
    rows = [f"{name:<{width}}  {_line(row)}" for name, row in found.items()]
    lines = [f"{head}  p (Holm)  could show", *rows]
    if max(seeds) > 1:
        lines.append(
            f"means over {seeds[0]} and {seeds[1]} seeds, +- their standard deviation; intervals"
            " and p cover seeds and scenes"
        )
    return "\n".join(lines)


def _line(row: Mapping[str, Any]) -> str:
    low, high = row["interval"] or (float("nan"),) * 2
    interval = f"[{100 * low:+.1f}, {100 * high:+.1f}]"
    least = row["minimum_detectable_difference"]
    could = f"{100 * least:.1f}" if least else "-"
    told = f"{row['p_holm']:.3f}" if row["p_holm"] >= 0.001 else "< 0.001"
    verdict = "significant" if row["significant"] else "not significant"
    first, second = (_side(row[f"{side}_seeds"]) for side in ("first", "second"))
    return (
        f"{row['n']:>5}  {first:>11}  {second:>11}  {100 * row['difference']:+6.1f} {interval:<16}"
        f"  {told:>8}  {could:>10}  {verdict}"
    )


def _side(spread: Mapping[str, Any]) -> str:
    more = "" if spread["deviation"] is None else f" +-{100 * spread['deviation']:.1f}"
    return f"{100 * spread['mean']:.1f}{more}"
