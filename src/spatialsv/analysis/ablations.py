"""The target `ablations`: the paper's ablation tables for our arms, with paired tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from spatialsv.analysis.comparisons import comparison_table
from spatialsv.analysis.jobs import WITHOUT_TRAINING, Job, Runs, by_arm, read_jobs, read_runs
from spatialsv.analysis.label_curves import CurveConfig, label_curves
from spatialsv.analysis.quality import arm_tables, responses_by_job, spatial_scores
from spatialsv.analysis.scores import scores_of, select_runs
from spatialsv.analysis.tables import Row, write_stage, write_tables
from spatialsv.io.manifest import Manifest
from spatialsv.scenes.question import CROSS_VIEW, SINGLE_VIEW, TASKS
from spatialsv.stats.seeds import summarise_seeds
from spatialsv.stats.summary import QuestionScore

MINDCUBE = ("rotation", "among", "around")
NOT_VSI = {*MINDCUBE, *CROSS_VIEW, *SINGLE_VIEW}
POOLS: dict[str, Callable[[QuestionScore], bool]] = {
    "mindcube": lambda q: q.task in MINDCUBE,
    "vsi_choice": lambda q: q.spatial and q.kind == "choice" and q.task not in NOT_VSI,
    "cross_view": lambda q: q.task in CROSS_VIEW,
    "single_view": lambda q: q.task in SINGLE_VIEW,
    "spatial": lambda q: q.spatial,
    "recognition": lambda q: not q.spatial,
}
TEST = (
    *("difference", "low", "high", "seed_deviation", "p", "p_holm", "significant"),
    *("minimum_detectable_difference", "minimum_detectable_difference_note", "seed_variance"),
)
Paths = Sequence[str | Path]


@dataclass(frozen=True, kw_only=True)
class TableConfig:
    """One table: a row per arm."""

    arms: tuple[str, ...]  # in the order of the rows
    against: str  # the arm that all others are compared with
    paper: str | None = None  # the table of paper.json with the same rows, in the same order
    tasks: tuple[str, ...] = ()  # on whose questions arms are compared; none given: all spatial

    def __post_init__(self) -> None:
        if self.against not in self.arms:
            raise ValueError(
                f"ablations.tables: unknown arm against: {self.against!r}. Use one of"
                f" {list(self.arms)}."
            )
        if unknown := [task for task in self.tasks if task not in TASKS]:
            raise ValueError(
                f"ablations.tables: unknown task {unknown[0]!r}. Known tasks: {', '.join(TASKS)}."
            )
        if self.paper is None:
            return
        if self.paper not in (printed := paper_tables()):
            names = ", ".join(printed)
            raise ValueError(
                f"ablations.tables: unknown paper table {self.paper!r}. Known tables: {names}."
            )
        if len(rows := printed[self.paper]["rows"]) != len(self.arms):
            names = "; ".join(row["row"] for row in rows)
            raise ValueError(
                f"ablations.tables: found {len(self.arms)} arms, expected {len(rows)} as in"
                f" {self.paper}: {names}."
            )


@dataclass(frozen=True, kw_only=True)
class AblationsConfig:
    """The tables of the target `ablations`."""

    tables: dict[str, TableConfig] = field(default_factory=dict)  # by name
    curves: dict[str, CurveConfig] = field(default_factory=dict)  # accuracy over labelled scenes
    resamples: int = 2000  # of the bootstrap
    seed: int = 0  # of bootstrap and permutations


@cache
def paper_tables() -> dict[str, Any]:
    """Return the paper's values: table -> title and rows, whose scores are in per cent."""
    record = json.loads(files("spatialsv.analysis").joinpath("paper.json").read_text())
    return {name: table for name, table in record.items() if name not in ("source", "models")}


def run(*, evaluate: Paths, config: AblationsConfig, out: str | Path, lift: Paths = ()) -> Manifest:
    """Write the tables of the ablations, and of lifted depth against accuracy over their arms.

    Args:
        evaluate: manifests of the evaluate jobs of all arms in the tables.
        config: the tables.
        out: path of the manifest; the tables go to the same folder.
        lift: manifests of the lift jobs of those arms that lift geometry.

    Returns:
        The manifest.

    Raises:
        ValueError: the tables are missing, an arm was not evaluated, or arms answered different
            questions.
    """
    out = Path(out)
    if not config.tables:
        raise ValueError("ablations.tables is empty. Add a table or drop the target `ablations`.")
    evaluated, lifted = read_jobs(evaluate), read_jobs(lift)
    runs = read_runs(evaluated)
    lifts = by_arm(lifted)
    names = ["ablation_arms", "ablation_scores"]
    names += ["label_curves", "label_efficiency"] if config.curves else []
    tables: dict[str, list[Row]] = {name: [] for name in names}
    for name, table in config.tables.items():
        for key, rows in ablation_tables(name, table, runs, lifts, config.seed).items():
            tables[key] += rows
    for name, curve in config.curves.items():
        for key, rows in label_curves(name, curve, runs, config.resamples, config.seed).items():
            tables[key] += rows
    responses, pooled = responses_by_job(runs, evaluated), spatial_scores(runs)
    tables |= arm_tables("lift", lifted, responses, pooled, config.resamples, config.seed)
    written = write_tables(out.parent, tables)
    counts = {"tables": len(config.tables), "arms": len(runs)}
    return write_stage(out, "ablations", written, counts, config)


def ablation_tables(
    name: str,
    table: TableConfig,
    runs: Runs,
    lifts: Mapping[str, Sequence[Job]],
    seed: int = 0,
) -> dict[str, list[Row]]:
    """Build the rows of one table.

    Our scores are in [0, 1], means over seeds; the paper's are in per cent, as printed.

    Returns:
        `ablation_arms`: each arm with its test against the table's reference on the table's tasks,
        corrected together within the table (Holm); and `ablation_scores`: each arm's
        scores by pool, and those of the untuned base where it was evaluated.

    Raises:
        ValueError: an arm was not evaluated, arms answered different questions, or there are no
            questions of the table's tasks.
    """
    compared = select_runs(f"ablations.tables.{name}", runs, table.arms, table.tasks)
    pairs = [(arm, table.against) for arm in table.arms if arm != table.against]
    tests = {row["first"]: row for row in comparison_table(compared, pairs, seed)}
    paper = paper_tables()[table.paper] if table.paper else None
    printed = dict(zip(table.arms, paper["rows"], strict=True)) if paper else {}
    rows = []
    for arm in table.arms:
        ratios = [job.metrics.get("abs_rel_over_mean_depth") for job in lifts.get(arm, ())]
        lifted = _over_seeds([ratio for ratio in ratios if ratio is not None])
        rows.append(
            {
                "table": name,
                "title": f"{paper['title']} ({name})" if paper else name,
                "against": table.against,
                "tasks": " ".join(table.tasks),
                "arm": arm,
                "is_trained": arm not in WITHOUT_TRAINING,
                "seeds": len(runs[arm]),
                "paper_row": printed[arm]["row"] if printed else None,
                "lifted_ratio": lifted["mean"],
                **{key: tests[arm][key] if arm in tests else None for key in TEST},
            }
        )
    before = [arm for arm in runs if arm == "base" and arm not in table.arms]
    scores = [
        {"table": name, "arm": arm, "pool": pool}
        | _score(runs, arm, pool)
        | {"paper": printed.get(arm, {}).get(pool)}
        for arm in (*table.arms, *before)
        for pool in POOLS
    ]
    return {"ablation_arms": rows, "ablation_scores": scores}


def _score(runs: Runs, arm: str, pool: str) -> Row:
    """The mean over a pool of questions, then over seeds."""
    seeds = [[q.score for q in scores_of(run) if POOLS[pool](q)] for run in runs[arm]]
    means = [float(np.mean(scores)) for scores in seeds if scores]
    return {"n": len(seeds[0])} | _over_seeds(means)


def _over_seeds(values: Sequence[float]) -> Row:
    if not values:
        return {"mean": None, "deviation": None}
    spread = summarise_seeds(values)
    return {"mean": spread.mean, "deviation": spread.deviation}
