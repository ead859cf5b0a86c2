"""`spatialsv compare RUN RUN`: two models that answered the same items of one benchmark.

By task and overall, each model with one seed of training or with several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatialsv.benchmarks import rooms
from spatialsv.benchmarks.benchmark import Item, Scores
from spatialsv.benchmarks.catalogue import find_protocol, load_items
from spatialsv.benchmarks.responses import (
    FILE,
    Allowed,
    Response,
    read_responses,
    select_responses,
)
from spatialsv.benchmarks.score import OVERALL, respond
from spatialsv.benchmarks.settings import COMPARED, OPTIONS, Setting, differences, run_settings
from spatialsv.io.atomic import write_json
from spatialsv.io.manifest import read_manifest
from spatialsv.stats.comparison import Comparison, Side, compare_jointly, compare_scores
from spatialsv.stats.means import Tree
from spatialsv.stats.summary import GROUPS

SEED_VARIANCE = {
    "estimated": "means over {} and {} seeds, +- their standard deviation; intervals and p cover"
    " scenes and training seeds",
    "pooled": "means over {} and {} seeds; the variance across seeds of the single one is taken to"
    " be that of the other model; intervals and p cover scenes and training seeds",
    "not covered": "one seed each: intervals and p cover the choice of questions and scenes, not"
    " training seeds",
}

Parts = Sequence[Mapping[str, Tree]]  # scores by name; p-values are corrected within each part


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """How the responses of the runs are scored; rooms need nothing."""

    benchmark: str | None = None  # None: as in the runs' manifests; else rooms
    data: Path | None = None  # the folder of the benchmark's files
    protocol: str | None = None  # None: as in the manifests; else the authors'
    allow: tuple[Allowed, ...] = ()  # as for `spatialsv score`
    fixed: tuple[Side, ...] = ()  # models that no training seed affects, such as a released one
    differ: tuple[Setting, ...] = ()  # settings in which the runs may differ, on purpose


@dataclass(frozen=True)
class _Run:
    name: Path  # as given
    path: Path  # of the responses
    responses: list[Response]
    about: Mapping[str, Any]  # of its manifest; empty without one


def compare_runs(
    runs: Sequence[Path],
    against: Sequence[Path] = (),
    config: CompareConfig | None = None,
    out: Path | None = None,
) -> dict[str, Any]:
    """Compare two models that answered the same items, each with one or several seeds.

    P-values are corrected (Holm) over the tasks together, and over the groups of tasks, or the
    overall score, together.

    Args:
        runs: of the first model, one per seed: its manifest, its folder, or its responses.jsonl. Or
            two runs, one of each model.
        against: those of the second model, if it has several.
        config: how the responses are scored.
        out: JSON file to write; None: none.

    Returns:
        name -> the fields of `Comparison`, `p_holm` and `significant`.

    Raises:
        ValueError: a missing run, different items, benchmarks, protocols or settings, or one model
            twice among the seeds of a side.
    """
    config = config or CompareConfig()
    first, second = runs, against
    if not second:
        if len(first) != 2:
            raise ValueError(
                f"{len(first)} runs given: give two, or those of the second model with --against."
            )
        first, second = first[:1], first[1:]
    loaded = [*map(_read_run, (*first, *second))]
    for side in (loaded[: len(first)], loaded[len(first) :]):
        _refuse_duplicates(side)
    name = _agreed(loaded, "benchmark", config.benchmark) or rooms.NAME
    for run in loaded[1:]:
        _refuse_other_settings(name, loaded[0], run, config.differ)
    parts = _rooms_scores(loaded) if name == rooms.NAME else _benchmark_scores(loaded, name, config)
    compared: dict[str, Any] = {}
    for number, part in enumerate(parts[0]):
        comparisons: dict[str, Comparison] = {}
        for score in part:
            trees = [_score(run_parts[number], score) for run_parts in parts]
            sides = trees[: len(first)], trees[len(first) :]
            comparisons[score] = compare_scores(*sides, fixed=config.fixed)
        compared |= zip(comparisons, compare_jointly([*comparisons.values()]), strict=True)
    if out is not None:
        write_json(out, compared)
    return compared


def _score(scores: Mapping[str, Tree], name: str) -> Tree:
    if name not in scores:
        raise ValueError(f"{name}: one run has no score of it, so that it cannot be compared.")
    return scores[name]


def _read_run(name: Path) -> _Run:
    path = name / "manifest.json" if name.is_dir() else name
    if path.suffix == ".json":
        manifest = read_manifest(path)
        path, about = manifest.resolve(FILE), manifest.about
    else:
        sibling = path.parent / "manifest.json"
        about = read_manifest(sibling).about if sibling.is_file() else {}
    return _Run(name, path, read_responses(path), about)


def _refuse_other_settings(
    benchmark: str, first: _Run, other: _Run, differ: Sequence[Setting]
) -> None:
    """Check that two runs showed and prompted the same.

    Raises:
        ValueError: a setting differs and is not in `differ`; the message says what to run again.
    """
    shared = {one.id for one in first.responses} & {one.id for one in other.responses}
    settings = [
        run_settings(run.path, [one for one in run.responses if one.id in shared])
        for run in (first, other)
    ]
    found = [name for name in differences(*settings) if name not in differ]
    if not found:
        return
    name = found[0]
    values = [one[name] for one in settings]
    what = f"{name} ({COMPARED[name]})"
    if name in OPTIONS:
        option = f"--{name.replace('_', '-')} {values[0]}"
        what += f" is {values[0]} in the first, {values[1]} in the second"
        remedy = f"Run `spatialsv evaluate {benchmark} {option}` with the settings of the first"
    else:
        what += " differ"
        remedy = f"Run `spatialsv evaluate {benchmark}` on the same files with the same settings"
    raise ValueError(
        f"{first.name} and {other.name} cannot be compared: {what}. {remedy} for the model of the"
        f" second, or compare on purpose with --differ {' '.join(found)}."
    )


def _refuse_duplicates(side: Sequence[_Run]) -> None:
    """Check that no seed is counted twice: it would show no variance.

    Raises:
        ValueError: two runs are of one model with the same settings.
    """
    seen: dict[frozenset[str], Path] = {}
    for run in side if len(side) > 1 else ():
        keys = frozenset(response.key for response in run.responses if response.key)
        if keys and keys in seen:
            raise ValueError(
                f"{run.name} and {seen[keys]} are one model with the same settings. Give each seed"
                " once."
            )
        seen[keys] = run.name


def _agreed(runs: Sequence[_Run], field: str, given: str | None) -> str | None:
    """Return the benchmark, or its protocol, of all runs; `given` of runs without a manifest.

    Raises:
        ValueError: runs differ, or one differs from `given`.
    """
    recorded = [run for run in runs if run.about or field == "benchmark"]
    if not recorded:
        return given
    default = rooms.NAME if field == "benchmark" else None
    values = {run.name: run.about.get(field, given or default) for run in recorded}
    first, value = next(iter(values.items()))
    for other, different in values.items():
        if different != value:
            raise ValueError(
                f"{first} and {other} cannot be compared: their {field} is {value} in the first,"
                f" {different} in the second."
            )
    if given is not None and value != given:
        raise ValueError(f"{first}: its {field} is {value}, not {given}.")
    return value


def _benchmark_scores(runs: Sequence[_Run], name: str, config: CompareConfig) -> list[Parts]:
    """Return the scores of each run under one protocol: of tasks, and overall."""
    if config.data is None:
        raise ValueError(f"{runs[0].name}: give --data, the folder of the files of {name}.")
    _, protocol = find_protocol(name, config.protocol or _agreed(runs, "protocol", None))
    items = load_items(name, config.data)
    parts: list[Parts] = []
    for run in runs:
        texts = select_responses(run.responses, [i.id for i in items], run.path, config.allow)
        scores = protocol.aggregate(
            [(item, respond(item, protocol, texts[item.id]).score) for item in items]
        )
        parts.append((scores.tasks, {OVERALL: scores.tree}))
    return parts


def _rooms_scores(runs: Sequence[_Run]) -> list[Parts]:
    """Return the recorded scores of each run, those of baselines too: of tasks, and of GROUPS."""
    by_id = [{response.id: response for response in run.responses} for run in runs]
    for run, responses in zip(runs, by_id, strict=True):
        ids, others = by_id[0].keys(), responses.keys()
        if ids != others:
            raise ValueError(
                f"{runs[0].name} and {run.name} do not answer the same questions:"
                f" {len(ids - others)} only in the first, {len(others - ids)} only in the second."
            )
    parts: list[Parts] = []
    for run, responses in zip(runs, by_id, strict=True):
        tasks = _aggregate_recorded(run, [responses[name] for name in by_id[0]]).tasks
        grouped = {name: tree for name, tree in tasks.items() if name in GROUPS}
        parts.append(({name: tasks[name] for name in tasks if name not in grouped}, grouped))
    return parts


def _aggregate_recorded(run: _Run, responses: Sequence[Response]) -> Scores:
    try:
        scored = [response.scored() for response in responses]
    except ValueError as error:
        hint = "" if run.about else " Name the benchmark of the responses by --benchmark."
        raise ValueError(f"{run.path}: {error}{hint}") from None
    return rooms.aggregate(
        [
            (
                Item(
                    id=one.id,
                    task=one.task,
                    kind=one.kind,
                    spatial=one.spatial,
                    scene=one.scene,
                    question="",
                    answer="",
                ),
                one.score,
            )
            for one in scored
        ]
    )


def format_comparison(compared: Mapping[str, Any]) -> str:
    """Return a line per task and group: scores in per cent, differences in points."""
    width = max(map(len, compared))
    seeds = [next(iter(compared.values()))[f"{side}_seeds"]["n"] for side in ("first", "second")]
    head = f"{'':<{width}}  {'n':>5}  {'first':>11}  {'second':>11}  difference [95 %]      "
    rows = [f"{name:<{width}}  {_format_row(row)}" for name, row in compared.items()]
    notes = [SEED_VARIANCE[row["seed_variance"]].format(*seeds) for row in compared.values()]
    notes += [
        f"{name}: no detectable difference is given, since {note}"
        for name, row in compared.items()
        if (note := row["minimum_detectable_difference_note"])
    ]
    significant = sum(row["significant"] for row in compared.values())
    notes.append(f"{len(compared)} comparisons, {significant} significant at 5 % (Holm)")
    return "\n".join([f"{head}  p (Holm)  detectable at 80 % power", *rows, *dict.fromkeys(notes)])


def _format_row(row: Mapping[str, Any]) -> str:
    low, high = row["interval"] or (float("nan"),) * 2
    interval = f"[{100 * low:+.1f}, {100 * high:+.1f}]"
    least = row["minimum_detectable_difference"]
    detectable = "-" if least is None else f"{100 * least:.1f}"
    p_value = f"{row['p_holm']:.3f}" if row["p_holm"] >= 0.001 else "< 0.001"
    result = "significant" if row["significant"] else "not significant"
    first, second = (_format_seeds(row[f"{side}_seeds"]) for side in ("first", "second"))
    return (
        f"{row['n']:>5}  {first:>11}  {second:>11}  {100 * row['difference']:+6.1f} {interval:<16}"
        f"  {p_value:>8}  {detectable:>10}  {result}"
    )


def _format_seeds(spread: Mapping[str, Any]) -> str:
    more = "" if spread["deviation"] is None else f" +-{100 * spread['deviation']:.1f}"
    return f"{100 * spread['mean']:.1f}{more}"
