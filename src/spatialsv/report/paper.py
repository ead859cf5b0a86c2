"""Tables 1, 2 and 8 of the paper: its values beside ours, of whatever benchmarks were asked here.

A cell is ours, and the paper's in brackets. What was not asked is "not run"; it is not asked now.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from spatialsv.io.atomic import write_json, write_text
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.report.jobs import ARMS, arm_label
from spatialsv.report.tables import Table, as_markdown, as_text, per_cent
from spatialsv.stats.seeds import summarise_seeds

Scores = Mapping[str, Any]  # a run's scores.json
Runs = Mapping[tuple[str, str], Mapping[str, Sequence[Scores]]]  # (base, arm) -> benchmark -> seeds


def run(*, evaluate: Iterable[str | Path], out: str | Path) -> Manifest:
    """Write results.json, table.md and `out`; print the tables.

    Args:
        evaluate: manifests of benchmarks, of any bases, arms and seeds:
            .../{base}/{arm}/{seed}/{benchmark}/manifest.json; none is fine.
        out: where the manifest goes; payload beside it.

    Raises:
        ValueError: a path that is no such manifest.
    """
    out, runs = Path(out), read_scores(evaluate)
    results = [table_of(name, runs) for name in ("table1", "table2", "table8")]
    results += filter(None, [others_of(runs)])
    tables = list(map(rendered, results))
    write_json(out.parent / "results.json", results)
    write_text(out.parent / "table.md", "\n\n".join(map(as_markdown, tables)) + "\n")
    print("\n\n".join(f"{as_text(table)}\n\n{table.note}" for table in tables))
    names = ("results.json", "table.md")
    asked = [seeds for benchmarks in runs.values() for seeds in benchmarks.values()]
    manifest = Manifest(
        stage="paper",
        payload={name: digest_path(out.parent / name) for name in names},
        counts={"tables": len(tables), "runs": sum(map(len, asked))},
        path=out,
    )
    write_manifest(out, manifest)
    return manifest


@cache
def published() -> dict[str, Any]:
    """The paper's own values, in per cent; `paper.json` says what its fields mean."""
    record = json.loads(files("spatialsv.report").joinpath("paper.json").read_text())
    return record["models"]


def read_scores(paths: Iterable[str | Path]) -> Runs:
    """The scores of benchmarks' runs.

    Raises:
        ValueError: a path that is no manifest of such a run, or is not called after it.
    """
    runs: dict[tuple[str, str], dict[str, list[Scores]]] = {}
    for path in map(Path, paths):
        manifest = read_manifest(path)
        if "scores.json" not in manifest.payload:
            raise ValueError(f"{path}: not of a benchmark: it lists no scores.json")
        scores = json.loads(manifest.resolve("scores.json").read_text())
        *_, base, arm, _, name, _ = ("", "", *path.resolve().parts)
        if name != scores["benchmark"]:
            told = f"BASE/ARM/SEED/{scores['benchmark']}/manifest.json"
            raise ValueError(f"{path}: expected {told}, whose names say which model was asked")
        runs.setdefault((base, arm), {}).setdefault(scores["benchmark"], []).append(scores)
    return runs


def table_of(name: str, runs: Runs) -> dict[str, Any]:
    """One table as a record: a row a model, a cell a column.

    A cell has the `paper`'s value in per cent, and ours in [0, 1], `mean` and `deviation` over
    `seeds`, or none of these three where the benchmark was not asked. A column has `asked`, the
    numbers of items over which runs were scored, and `scorers`. Bases that the paper has not come
    last, but in Table 1, which is a part of Table 8.
    """
    table = published()[name]
    if "of" not in table:
        return _filled(name, table["title"], table["columns"], table["rows"], runs)
    whole = published()[table["of"]]
    rows = [row for row in whole["rows"] if row["base"] in ("", *table["mllms"])]
    return _filled(name, table["title"], whole["columns"], rows, runs, listed_only=True)


def others_of(runs: Runs) -> dict[str, Any] | None:
    """A record as that of `table_of`, of benchmarks that the paper has not; None: none was."""
    tables = [published()[name] for name in ("table2", "table8")]
    theirs = {_benchmark(column) for table in tables for column in table["columns"]}
    found = sorted({name for benchmarks in runs.values() for name in benchmarks} - theirs)
    columns = [{"of": name, "title": name} for name in found]
    title = "Benchmarks that the paper has not"
    return _filled("others", title, columns, [], runs) if found else None


def _filled(
    name: str,
    title: str,
    columns: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    runs: Runs,
    listed_only: bool = False,
) -> dict[str, Any]:
    """The paper's rows and values with ours, and after them models that it does not list."""
    benchmarks, listed = set(map(_benchmark, columns)), {(row["base"], row["arm"]) for row in rows}
    others = [m for m in runs if m not in listed and runs[m].keys() & benchmarks]
    order = [*ARMS, *{arm: None for _, arm in runs}]
    others.sort(key=lambda model: (model[0], order.index(model[1])))
    if not listed_only:
        rows = [*rows, *({"base": base, "arm": arm, "values": []} for base, arm in others)]
    return {
        "name": name,
        "title": title,
        "columns": [column | _asked(column["of"], runs) for column in columns],
        "rows": [
            {
                "base": row["base"],
                "arm": row["arm"],
                "label": published()["mllms"].get(row["base"], row["base"]),
                "cells": _cells(columns, row["values"], _asked_of(row["base"], row["arm"], runs)),
            }
            for row in rows
        ],
    }


def rendered(result: Mapping[str, Any]) -> Table:
    """A record of `table_of` in words."""
    head = ["", *map(_heading, result["columns"])]
    rows = []
    for row in result["rows"]:
        label = arm_label(row["arm"])
        name = f"{row['label']}, {label}" if row["label"] else label
        rows.append((name, *map(_words, row["cells"])))
    scorers = {
        _benchmark(column): ", ".join(column["scorers"])
        for column in result["columns"]
        if column["scorers"]
    }
    told = "; ".join(f"{name} {rules}" for name, rules in scorers.items()) or "none was asked yet"
    note = (
        "Per cent. Ours, means over seeds of training ± their standard deviation, and in brackets"
        f" the paper's. Scorers of ours: {told}. The paper names none, and leaves prompts and"
        " frames open; n are the items, ours and the paper's where they differ."
    )
    return Table(title=result["title"], head=tuple(head), rows=tuple(rows), note=note)


def _asked_of(base: str, arm: str, runs: Runs) -> Mapping[str, Sequence[Scores]]:
    """A model's scores by benchmark; those of guessing, which has no base, are told by any run."""
    if base:
        return runs.get((base, arm), {})
    found = {}
    for benchmarks in runs.values():
        for name, seeds in benchmarks.items():
            if seeds[0].get(arm) is not None:
                known = {task: s.get(arm) for task, s in seeds[0]["tasks"].items()}
                tasks = {task: {"score": s} for task, s in known.items() if s is not None}
                found[name] = [{"overall": seeds[0][arm], "tasks": tasks}]
    return found


def _benchmark(column: Mapping[str, Any]) -> str:
    """What a column is of; nothing if it is a mean."""
    return (column["of"] or "").partition("/")[0]


def _asked(of: str | None, runs: Runs) -> dict[str, Any]:
    """Over how many items a column was scored, and by whose rules."""
    benchmark, _, task = (of or "").partition("/")
    found = [s for benchmarks in runs.values() for s in benchmarks.get(benchmark, ())]
    counts = {s["tasks"].get(task, {"n": 0})["n"] if task else s["items"] for s in found}
    return {"asked": sorted(counts), "scorers": sorted({s["scorer"] for s in found})}


def _cells(
    columns: Sequence[Mapping[str, Any]],
    values: Sequence[float],
    asked: Mapping[str, Sequence[Scores]],
) -> list[dict[str, Any]]:
    cells = [_ours(column["of"], asked) if column["of"] else {} for column in columns]
    means = [cell.get("mean") for cell, column in zip(cells, columns, strict=True) if column["of"]]
    for cell, column in zip(cells, columns, strict=True):
        if not column["of"] and None not in means:
            cell |= {"mean": sum(means) / len(means), "deviation": None}
    for cell, value in zip(cells, values, strict=False):
        cell["paper"] = value
    return cells


def _ours(of: str, asked: Mapping[str, Sequence[Scores]]) -> dict[str, Any]:
    benchmark, _, task = of.partition("/")
    seeds = asked.get(benchmark, ())
    tasks = [scores["tasks"].get(task) for scores in seeds if task]
    found = [part["score"] for part in tasks if part] if task else [s["overall"] for s in seeds]
    if not found:
        return {}
    spread = summarise_seeds(found)
    return {"mean": spread.mean, "deviation": spread.deviation, "seeds": spread.n}


def _heading(column: Mapping[str, Any]) -> str:
    theirs, ours = column.get("n"), " or ".join(map(str, column["asked"]))
    if not ours:
        return column["title"] + (f" (n {theirs})" if theirs else "")
    if theirs and ours != str(theirs):
        return f"{column['title']} (n {ours}, paper {theirs})"
    return f"{column['title']} (n {ours})"


def _words(cell: Mapping[str, Any]) -> str:
    ours = per_cent(cell) if "mean" in cell else "not run"
    return f"{ours} ({cell['paper']:.1f})" if "paper" in cell else ours
