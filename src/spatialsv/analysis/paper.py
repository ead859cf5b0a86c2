"""The target `paper`: Tables 1, 2 and 8 of the paper, its values and ours.

A cell has our value, if the benchmark was run here, and the paper's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from spatialsv.analysis.jobs import ARM_ORDER
from spatialsv.analysis.tables import Row, write_stage, write_tables
from spatialsv.io.manifest import Manifest, read_manifest
from spatialsv.io.text import load_json
from spatialsv.stats.seeds import summarise_seeds

Scores = Mapping[str, Any]  # a run's scores.json
BenchmarkRuns = Mapping[str, Sequence[Scores]]  # by benchmark; one per seed
ModelRuns = Mapping[tuple[str, str], BenchmarkRuns]  # by base and arm
TABLES = ("table1", "table2", "table8")


def run(*, evaluate: Iterable[str | Path], out: str | Path) -> Manifest:
    """Write the table `paper_cells`.

    Args:
        evaluate: manifests of benchmarks, of any bases, arms and seeds:
            .../{base}/{arm}/{seed}/{benchmark}/manifest.json. There may be none.
        out: path of the manifest; the table goes to the same folder.

    Returns:
        The manifest.

    Raises:
        ValueError: a path is not such a manifest.
    """
    out, runs = Path(out), read_scores(evaluate)
    rows = [row for name in TABLES for row in paper_rows(name, runs)] + other_rows(runs)
    names = write_tables(out.parent, {"paper_cells": rows})
    seeds = [seeds for benchmarks in runs.values() for seeds in benchmarks.values()]
    tables = dict.fromkeys(row["table"] for row in rows)
    return write_stage(out, "paper", names, {"tables": len(tables), "runs": sum(map(len, seeds))})


@cache
def published() -> dict[str, Any]:
    """Return the paper's own values, in per cent; `paper.json` documents the fields."""
    record = json.loads(files("spatialsv.analysis").joinpath("paper.json").read_text())
    return record["models"]


def read_scores(paths: Iterable[str | Path]) -> ModelRuns:
    """Read the scores of benchmark runs, .../{base}/{arm}/{seed}/{benchmark}/manifest.json.

    Returns:
        Scores by base and arm, then benchmark, one per seed.

    Raises:
        ValueError: a path is not the manifest of such a run, or its folders have other names.
    """
    runs: dict[tuple[str, str], dict[str, list[Scores]]] = {}
    for path in map(Path, paths):
        manifest = read_manifest(path)
        if "scores.json" not in manifest.payload:
            raise ValueError(f"{path}: not a benchmark run: its payload has no scores.json.")
        scores = load_json(manifest.resolve("scores.json"))
        *_, base, arm, _, name, _ = ("", "", *path.resolve().parts)
        if name != scores["benchmark"]:
            raise ValueError(
                f"{path}: expected BASE/ARM/SEED/{scores['benchmark']}/manifest.json, whose"
                " folders name the model."
            )
        runs.setdefault((base, arm), {}).setdefault(scores["benchmark"], []).append(scores)
    return runs


def paper_rows(name: str, runs: ModelRuns) -> list[Row]:
    """List the cells of one of the paper's TABLES, by model, then column.

    Returns:
        Rows of `paper_cells`. Models that the paper lacks come last, except in Table 1, which is a
        part of Table 8.
    """
    table = published()[name]
    if "of" not in table:
        return _cells(name, table["title"], table["columns"], table["rows"], runs)
    full = published()[table["of"]]
    rows = [row for row in full["rows"] if row["base"] in ("", *table["mllms"])]
    return _cells(name, table["title"], full["columns"], rows, runs, listed_only=True)


def other_rows(runs: ModelRuns) -> list[Row]:
    """List the cells of benchmarks that the paper lacks; empty if none was run."""
    tables = [published()[name] for name in ("table2", "table8")]
    theirs = {_benchmark(column) for table in tables for column in table["columns"]}
    names = sorted({name for benchmarks in runs.values() for name in benchmarks} - theirs)
    columns = [{"of": name, "title": name} for name in names]
    return _cells("others", "Benchmarks that the paper lacks", columns, [], runs)


def _cells(
    name: str,
    title: str,
    columns: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    runs: ModelRuns,
    listed_only: bool = False,
) -> list[Row]:
    """The paper's rows and values with ours, then models that it does not list."""
    benchmarks, listed = set(map(_benchmark, columns)), {(row["base"], row["arm"]) for row in rows}
    others = [m for m in runs if m not in listed and runs[m].keys() & benchmarks]
    order = list(dict.fromkeys([*ARM_ORDER, *(arm for _, arm in runs)]))
    others.sort(key=lambda model: (model[0], order.index(model[1])))
    if not listed_only:
        rows = [*rows, *({"base": base, "arm": arm, "values": []} for base, arm in others)]
    heads = [_head(column, runs) for column in columns]
    return [
        {"table": name, "title": title, "base": row["base"], "arm": row["arm"]}
        | {"model": published()["mllms"].get(row["base"], row["base"])}
        | head
        | cell
        for row in rows
        for head, cell in zip(heads, _values(columns, row, runs), strict=True)
    ]


def _head(column: Mapping[str, Any], runs: ModelRuns) -> Row:
    """A column's benchmark and title, the numbers of items, and the scoring protocols used."""
    benchmark, _, task = (column["of"] or "").partition("/")
    scored = [s for benchmarks in runs.values() for s in benchmarks.get(benchmark, ())]
    items = {s["tasks"].get(task, {"n": 0})["n"] if task else s["items"] for s in scored}
    return {
        "column": column["title"],
        "benchmark": benchmark or None,
        "items": " or ".join(map(str, sorted(items))) or None,
        "paper_items": column.get("n"),
        "protocol": ", ".join(sorted({s["protocol"] for s in scored})) or None,
    }


def _values(
    columns: Sequence[Mapping[str, Any]], row: Mapping[str, Any], runs: ModelRuns
) -> list[Row]:
    """A model's cells: our mean, its deviation over seeds, and the paper's value."""
    own = _runs_of(row["base"], row["arm"], runs)
    cells = [_ours(column["of"], own) for column in columns]
    means = [cell["mean"] for cell, column in zip(cells, columns, strict=True) if column["of"]]
    for number, (cell, column) in enumerate(zip(cells, columns, strict=True)):
        if not column["of"] and None not in means:
            cell["mean"] = sum(means) / len(means)
        cell["paper"] = row["values"][number] if number < len(row["values"]) else None
    return cells


def _ours(of: str | None, own: BenchmarkRuns) -> Row:
    benchmark, _, task = (of or "").partition("/")
    seeds = own.get(benchmark, ())
    parts = [scores["tasks"].get(task) for scores in seeds if task]
    values = [p["score"] for p in parts if p] if task else [s["overall"] for s in seeds]
    if not values:
        return dict.fromkeys(("mean", "deviation", "seeds"))
    spread = summarise_seeds(values)
    return {"mean": spread.mean, "deviation": spread.deviation, "seeds": spread.n}


def _runs_of(base: str, arm: str, runs: ModelRuns) -> BenchmarkRuns:
    """A model's scores by benchmark; guessing, which has no base, is part of every run."""
    if base:
        return runs.get((base, arm), {})
    guesses = {}
    for benchmarks in runs.values():
        for name, seeds in benchmarks.items():
            if seeds[0].get(arm) is not None:
                scores = {task: s.get(arm) for task, s in seeds[0]["tasks"].items()}
                tasks = {task: {"score": s} for task, s in scores.items() if s is not None}
                guesses[name] = [{"overall": seeds[0][arm], "tasks": tasks}]
    return guesses


def _benchmark(column: Mapping[str, Any]) -> str:
    """A column's benchmark; empty for a mean of columns."""
    return (column["of"] or "").partition("/")[0]
