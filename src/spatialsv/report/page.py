"""The report as one HTML file that needs no network: template, style, scripts and data in one."""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spatialsv.report.ablations import ablation_tables
from spatialsv.report.data import Tables
from spatialsv.report.findings import (
    correlation_finding,
    gate_findings,
    main_findings,
    power_findings,
    quality_findings,
)
from spatialsv.report.labels import arm_label, source_label, task_label
from spatialsv.report.result_tables import (
    gate_table,
    geometry_tables,
    layer_table,
    quality_tables,
    result_tables,
)
from spatialsv.report.style import ARM_COLOURS, Drawing, as_inline_svg
from spatialsv.report.tables import Table

SECTIONS = {  # in the page's order, by the id of their heading
    "scores": "Scores",
    "ablations": "Ablations",
    "space": "Geometry in 3D",
    "layers": "Layers",
    "quality": "Geometry and accuracy",
    "gate": "Pseudo-labels",
    "curves": "Training",
    "browser": "Questions",
    "timings": "Cost",
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section of the page."""

    lead: Sequence[str] = ()
    figures: Sequence[Mapping[str, Any]] = ()
    after: Sequence[str] = ()  # sentences below the figures
    tables: Sequence[Table] = ()
    folded: Sequence[Table] = ()


def render_page(
    tables: Tables,
    order: Sequence[str],
    drawings: Mapping[str, Drawing],
    svgs: Mapping[str, str],
    browser: Mapping[str, Any],
    clouds: Mapping[str, Any],
    ablations: Tables | None = None,
    timings: Sequence[Path] = (),
) -> str:
    """Render the page.

    Args:
        tables: of the stage `analysis`.
        order: the arms in the order of their colours.
        drawings: all figures, by name; those of the ablations start with "ablations_".
        svgs: the same as SVG files.
        browser: of browser.json.
        clouds: of clouds.json.
        ablations: tables of the target `ablations`, where it was run.
        timings: Snakemake's benchmark files.

    Returns:
        HTML.
    """
    figures = [
        {"name": n, "svg": Markup(as_inline_svg(svgs[n], n)), "drawing": d}
        for n, d in drawings.items()
    ]

    def chosen(*starts: str) -> list[dict[str, Any]]:
        return [figure for figure in figures if figure["name"].startswith(starts)]

    cost = timing_table(timings)
    has_quality = any(tables[n] for n in ("quality_by_arm", "trends", "solver_summary"))
    parts = {
        "scores": Part(
            figures=chosen("scores"),
            tables=result_tables(tables),
            folded=geometry_tables(tables, every=True),
        ),
        "layers": tables["layers"]
        and Part(figures=chosen("layers"), tables=[layer_table(tables["layers"])]),
        "quality": has_quality
        and Part(
            lead=quality_findings(tables),
            figures=chosen("probe_", "lift_", "bins_", "solver_", "disagreements_"),
            tables=quality_tables(tables),
        ),
        "gate": tables["gate_summary"]
        and Part(lead=gate_findings(tables), figures=chosen("gate"), tables=[gate_table(tables)]),
        "curves": tables["curves"] and Part(figures=chosen("training")),
        "ablations": ablations
        and Part(
            lead=["The paper's tables (arXiv 2606.19915) for our arms, with the paper's values."],
            figures=chosen("ablations_"),
            tables=ablation_tables(ablations),
            after=[correlation_finding(row) for row in ablations["quality_correlation"]],
        ),
        "space": clouds["scenes"],
        "browser": True,
        "timings": cost and Part(tables=[cost]),
    }
    scripts = [_script("browser.js")]
    if clouds["scenes"]:
        scripts += map(_script, ("three/three.min.js", "cloud.js", "viewer.js"))
    return (
        _environment()
        .get_template("page.html")
        .render(
            policy=_policy(scripts),
            style=Markup(_asset("style.css")),
            scripts=[Markup(text) for text in scripts],
            sections={name: title for name, title in SECTIONS.items() if parts[name]},
            parts=parts,
            findings=main_findings(tables),
            caveats=power_findings(tables),
            browser=_label_browser(browser, order) | {"viewed": list(clouds["scenes"])},
            clouds=_label_clouds(clouds),
        )
    )


def timing_table(paths: Sequence[Path]) -> Table | None:
    """Tabulate jobs, time and memory of each stage.

    Args:
        paths: Snakemake's benchmark files, .../benchmarks/{stage}/....tsv.

    Returns:
        The table; None without any file.
    """
    stages: dict[str, list[dict[str, str]]] = {}
    for path in paths:
        parts = path.with_suffix("").parts
        start = parts.index("benchmarks") + 1 if "benchmarks" in parts else -1
        with path.open(newline="") as file:
            stages.setdefault(parts[start], []).extend(csv.DictReader(file, delimiter="\t"))
    rows = []
    for stage, jobs in stages.items():
        seconds = [number for job in jobs if (number := _float(job.get("s"))) is not None]
        memory = [number for job in jobs if (number := _float(job.get("max_rss"))) is not None]
        peak = f"{max(memory):.0f}" if memory else "-"
        longest = f"{max(seconds, default=0):.0f}"
        rows.append((stage, str(len(jobs)), f"{sum(seconds):.0f}", longest, peak))
    head = ("stage", "jobs", "seconds, all jobs", "longest job, s", "peak memory, MB")
    title = "Time and memory by stage"
    return Table(title=title, head=head, rows=tuple(rows)) if rows else None


def _label_browser(browser: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """The browser's data with words for arms, tasks and sources, and the arms' colours."""
    colours = [ARM_COLOURS[order.index(a["name"]) % len(ARM_COLOURS)] for a in browser["arms"]]
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


def _label_clouds(clouds: Mapping[str, Any]) -> dict[str, Any]:
    sources = [source | {"label": source_label(source["name"])} for source in clouds["sources"]]
    return {**clouds, "sources": sources}


@cache
def _environment() -> Environment:
    """Templates that escape whatever they insert, and JSON that cannot end a script element."""
    environment = Environment(
        loader=PackageLoader("spatialsv.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    return environment


def _asset(name: str) -> str:
    return files("spatialsv.report").joinpath(name).read_text()


def _script(name: str) -> str:
    """A script exactly as it is between the tags: its digest is in the page's policy."""
    return f"\n{_asset(name)}\n"


def _policy(scripts: Sequence[str]) -> str:
    """Load nothing from anywhere, and run no script but these, whatever the data may hold."""
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in scripts)
    allowed = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )


def _float(text: str | None) -> float | None:
    """A benchmark's number; jobs too short to be measured have "NA" or "-"."""
    try:
        return float(text or "")
    except ValueError:
        return None
