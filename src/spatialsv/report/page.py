"""The report as one HTML file that needs no network: template, style, scripts and data in one."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from markupsafe import Markup

from spatialsv.report.causal_table import causal_table
from spatialsv.report.data import Tables
from spatialsv.report.figures import all_arms
from spatialsv.report.findings import findings
from spatialsv.report.result_tables import (
    gate_table,
    geometry_tables,
    layer_table,
    quality_tables,
    result_tables,
)
from spatialsv.report.style import arm_looks, as_inline_svg
from spatialsv.report.tables import Table
from spatialsv.report.targets import ablation_tables
from spatialsv.report.texts import (
    arm_label,
    asset,
    environment,
    make_table,
    source_label,
    task_label,
    texts,
)
from spatialsv.viewer import page


def page_parts(tables: Tables, ablations: Tables | None, timings: Sequence[Path]) -> dict[str, Any]:
    """Collect the sections of the page that have data.

    Returns:
        By id of the section its sentences `lead`, its `tables`, those `folded` away, and the first
        words of its `figures`. The sentences of `findings` stand above all sections.
    """
    parts: dict[str, Any] = {
        "findings": {"lead": _conclusions(tables, ablations)},
        "scores": {
            "figures": ("scores",),
            "tables": result_tables(tables),
            "folded": geometry_tables(tables, every=True),
        },
    }
    if tables["layers"]:
        parts["layers"] = {"figures": ("layers",), "tables": [layer_table(tables["layers"])]}
    if tables["causal_readers"]:
        parts["causal"] = {"tables": [causal_table(tables)]}
    if any(tables[name] for name in ("quality_by_arm", "trends", "solver_summary")):
        parts["quality"] = {
            "lead": findings("quality", tables),
            "figures": ("probe", "lift", "bins", "solver", "disagreements"),
            "tables": quality_tables(tables),
        }
    if tables["gate_summary"]:
        lead, table = findings("gate", tables), gate_table(tables)
        parts["gate"] = {"lead": lead, "figures": ("gate",), "tables": [table]}
    if tables["curves"]:
        parts["curves"] = {"figures": ("training",)}
    if ablations:
        parts["ablations"] = {
            "lead": [texts()["ablations"], *findings("correlation", ablations)],
            "figures": ("ablations",),
            "tables": ablation_tables(ablations),
        }
    if timings:
        parts["timings"] = {"tables": [timing_table(timings)]}
    return parts


def _conclusions(tables: Tables, ablations: Tables | None) -> list[str]:
    """The first sentences of the page: tests come before descriptions."""
    main, others = findings("main", tables), findings("ablations", ablations) if ablations else []
    return [*main, *others] if tables["comparisons"] else [*others, *main]


def render_page(
    tables: Tables,
    parts: Mapping[str, Any],
    figures: Mapping[str, str],
    browser: Mapping[str, Any],
    clouds: Mapping[str, Any],
    note: str = "",
    provenance: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Render the page as HTML.

    Args:
        tables: of the stage `analysis`.
        parts: sections, as `page_parts` collects them.
        figures: SVG files by name.
        browser: data of the question browser.
        clouds: data of the 3D view.
        note: sentences at the top.
        provenance: what the results were made from, by name, below the note.

    Returns:
        The page.
    """
    scripts, parts = [page.asset(page.SHARED), asset("browser.js")], {**parts, "browser": {}}
    if clouds["scenes"]:
        scripts += map(page.asset, page.VIEWER)
        parts["space"] = {}
    sources = [one | {"label": source_label(one["name"])} for one in clouds["sources"]]
    return (
        environment()
        .get_template("page.html")
        .render(
            sections={name: title for name, title in texts()["sections"].items() if name in parts},
            parts=parts,
            captions=texts()["captions"],
            figures={name: Markup(as_inline_svg(svg, name)) for name, svg in figures.items()},
            note=note,
            provenance=provenance,
            findings=parts["findings"]["lead"],
            caveats=findings("power", tables),
            browser=_label_browser(browser, all_arms(tables)) | {"viewed": list(clouds["scenes"])},
            clouds={**clouds, "sources": sources},
            **page.page_frame(scripts),
        )
    )


def timing_table(paths: Sequence[Path]) -> Table:
    """Tabulate jobs, time and memory by stage, from Snakemake's benchmarks/{stage}/... files."""
    stages: dict[str, list[dict[str, str]]] = {}
    for path in paths:
        parts = path.with_suffix("").parts
        start = parts.index("benchmarks") + 1 if "benchmarks" in parts else -1
        with path.open(newline="") as file:
            stages.setdefault(parts[start], []).extend(csv.DictReader(file, delimiter="\t"))
    rows = []
    for stage, jobs in stages.items():
        seconds, memory = (_numbers(jobs, column) for column in ("s", "max_rss"))
        peak = f"{max(memory):.0f}" if memory else "-"
        longest = f"{max(seconds, default=0):.0f}"
        rows.append((stage, str(len(jobs)), f"{sum(seconds):.0f}", longest, peak))
    head = ("stage", "jobs", "seconds, all jobs", "longest job, s", "peak memory, MB")
    return make_table("timings", head, rows)


def _numbers(jobs: Sequence[Mapping[str, str]], column: str) -> list[float]:
    """A column of benchmark files; jobs too short to be measured have "NA" or "-"."""
    cells = [job.get(column) or "" for job in jobs]
    return [float(cell) for cell in cells if cell.replace(".", "", 1).isdigit()]


def _label_browser(browser: Mapping[str, Any], arms: Sequence[str]) -> dict[str, Any]:
    """The browser's data with words for arms, tasks and sources, and the arms' colours."""
    looks = arm_looks(arms)
    colours = [looks[arm["name"]][0] for arm in browser["arms"]]
    return {
        **browser,
        "arms": [arm | {"label": arm_label(arm["name"])} for arm in browser["arms"]],
        "tasks": [{"name": name, "label": task_label(name)} for name in browser["tasks"]],
        "scenes": {
            name: scene | {"others": {source_label(s): v for s, v in scene["others"].items()}}
            for name, scene in browser["scenes"].items()
        },
        "colours": colours,
    }
