"""The stage `ablations`: tables in the paper's shapes, its values beside ours, and what is real."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from spatialsv.io.atomic import write_json, write_text
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.report.comparisons import Runs, difference_by_seed, paired_tests, scored
from spatialsv.report.figures import write_figures
from spatialsv.report.interpret import against_error, answers_of_jobs, spatial
from spatialsv.report.interpret_page import correlation_told, lifted_figure
from spatialsv.report.jobs import Job, by_arm, read_jobs, read_runs
from spatialsv.report.results import check_same_questions, pool_seeds
from spatialsv.report.tables import Table, ablation_table, as_markdown, as_text
from spatialsv.stats.seeds import summarise_seeds
from spatialsv.stats.summary import QuestionScore

MINDCUBE = ("rotation", "among", "around")
Paths = Sequence[str | Path]


@dataclass(frozen=True, kw_only=True)
class TableConfig:
    """One table: an arm a row."""

    arms: tuple[str, ...]
    against: str  # the row that all others are compared with
    paper: str | None = None  # the table of paper.json with the same rows, in the same order

    def __post_init__(self) -> None:
        if self.against not in self.arms:
            raise ValueError(
                f"ablations.tables: against {self.against!r} is none of {list(self.arms)}"
            )
        if self.paper is None:
            return
        if self.paper not in (known := paper_tables()):
            told = f"known: {', '.join(known)}"
            raise ValueError(f"ablations.tables: no table {self.paper!r} of the paper; {told}")
        if len(rows := known[self.paper]["rows"]) != len(self.arms):
            told = "; ".join(row["row"] for row in rows)
            raise ValueError(
                f"ablations.tables: {len(self.arms)} arms beside {len(rows)} rows of"
                f" {self.paper}: {told}"
            )


@dataclass(frozen=True, kw_only=True)
class AblationsConfig:
    """Which tables there are."""

    tables: dict[str, TableConfig] = field(default_factory=dict)
    resamples: int = 2000  # of the bootstrap
    seed: int = 0  # of bootstrap and permutations


@cache
def paper_tables() -> dict[str, Any]:
    """The paper's own values: table -> title and rows, whose scores are in per cent."""
    record = json.loads(files("spatialsv.report").joinpath("paper.json").read_text())
    return {name: table for name, table in record.items() if name not in ("source", "models")}


def run(*, evaluate: Paths, config: AblationsConfig, out: str | Path, lift: Paths = ()) -> Manifest:
    """Write results.json, table.md and `out`; print the tables.

    Beside the tables stands the paper's Figure 4: lifted depth against accuracy, over all arms that
    lift it.

    Args:
        evaluate: manifests of the evaluate jobs of all arms in the tables.
        lift: of the lift jobs of those that lift geometry.
        out: where the manifest goes; payload beside it.

    Raises:
        ValueError: no tables, an arm that was not evaluated, or arms asked different questions.
    """
    out = Path(out)
    if not config.tables:
        raise ValueError("ablations.tables is empty: there is no table to make")
    runs = read_runs(evaluate)
    lifted = read_jobs(lift)
    lifts = by_arm(lifted)
    results = [
        ablation(name, table, runs, lifts, config.seed) for name, table in config.tables.items()
    ]
    pooled = {arm: spatial(pool_seeds(arm, seeds)) for arm, seeds in runs.items()}
    answered = answers_of_jobs(runs, read_jobs(evaluate))
    seen = against_error(lifted, answered, pooled, config.resamples, config.seed)
    tables = [ablation_table(result) for result in results]
    told = [correlation_told(seen)] if seen else []
    write_json(out.parent / "results.json", {"tables": results, "lift": seen})
    write_text(out.parent / "table.md", "\n\n".join([*map(as_markdown, tables), *told]) + "\n")
    print("\n\n".join([*map(_with_note, tables), *told]))
    drawn = write_figures(out.parent, {"lift_accuracy": lifted_figure(seen)})
    names = ("results.json", "table.md", *drawn)
    manifest = Manifest(
        stage="ablations",
        payload={name: digest_path(out.parent / name) for name in names},
        counts={"tables": len(tables), "arms": len(runs)},
        config=asdict(config),
        path=out,
    )
    write_manifest(out, manifest)
    return manifest


def ablation(
    name: str,
    table: TableConfig,
    runs: Runs,
    lifts: Mapping[str, Sequence[Job]],
    seed: int = 0,
) -> dict[str, Any]:
    """One table as a record: a row an arm, with our scores, the paper's, and the test.

    Scores are in [0, 1], means over seeds; the paper's are in per cent, as printed. `test` is that
    of the arm against the table's reference, on all spatial questions; p-values are corrected
    together within the table (Holm). `by_seed` is the spread of that difference over seeds.
    `before` has the scores of the untuned base, where it was asked.

    Raises:
        ValueError: an arm that was not evaluated, or arms asked different questions.
    """
    if missing := [arm for arm in table.arms if arm not in runs]:
        raise ValueError(f"ablations.tables.{name}: no evaluation of {', '.join(missing)}")
    check_same_questions({arm: pool_seeds(arm, runs[arm]) for arm in table.arms})
    pairs = [(arm, table.against) for arm in table.arms if arm != table.against]
    tests = {test["first"]: test for test in paired_tests(runs, pairs, seed)}
    paper = paper_tables()[table.paper] if table.paper else None
    rows = []
    for place, arm in enumerate(table.arms):
        answers = [scored(run) for run in runs[arm]]
        ratios = [job.metrics.get("abs_rel_over_mean_depth") for job in lifts.get(arm, ())]
        rows.append(
            {
                "arm": arm,
                "seeds": len(answers),
                "scores": _scores(answers),
                "lifted": _spread([ratio for ratio in ratios if ratio is not None]),
                "paper": paper["rows"][place] if paper else {},
                "test": tests.get(arm),
                "by_seed": difference_by_seed(runs[arm], runs[table.against]),
            }
        )
    title = f"{paper['title']} ({name})" if paper else name
    before = _scores([scored(run) for run in runs["base"]]) if "base" in runs else None
    return {
        **{"name": name, "title": title, "against": table.against},
        **{"before": before, "rows": rows},
    }


def _scores(seeds: Sequence[Sequence[QuestionScore]]) -> dict[str, dict[str, Any] | None]:
    """Pools of questions, each a mean over them, then over seeds."""

    def pool(chosen) -> dict[str, Any] | None:
        found = [[q.score for q in answers if chosen(q)] for answers in seeds]
        spread = _spread([float(np.mean(scores)) for scores in found if scores])
        return spread and spread | {"questions": len(found[0])}

    return {
        "mindcube": pool(lambda q: q.task in MINDCUBE),
        "vsi_choice": pool(lambda q: q.spatial and q.kind == "choice" and q.task not in MINDCUBE),
        "spatial": pool(lambda q: q.spatial),
        "recognition": pool(lambda q: not q.spatial),
    }


def _spread(values: Sequence[float]) -> dict[str, Any] | None:
    return asdict(summarise_seeds(values)) if values else None


def _with_note(table: Table) -> str:
    return f"{as_text(table)}\n\n{table.note}"
