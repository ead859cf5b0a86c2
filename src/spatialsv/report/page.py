"""The report as one HTML file that needs no network: template, style and script in one."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from spatialsv.report.curves import Curve, panel, terms_in_order
from spatialsv.report.examples import Disagreement
from spatialsv.report.figures import POOLS
from spatialsv.report.gate import gate_findings, gate_table
from spatialsv.report.gate_figure import gate_figure
from spatialsv.report.interpret_page import interpretability_section, lifted_part
from spatialsv.report.intervals import interval_figure
from spatialsv.report.jobs import arm_label
from spatialsv.report.layers import layers_section
from spatialsv.report.palette import arm_class, legend
from spatialsv.report.tables import (
    Table,
    ablation_table,
    as_html,
    full_geometry_tables,
    results_tables,
)


def page(
    results: Mapping[str, Any],
    curves: Mapping[str, Mapping[str, Curve]],
    browser: Mapping[str, Any],
    clouds: Mapping[str, Any],
    ablations: Mapping[str, Any] | None = None,
    benchmarks: Sequence[Path] = (),
    examples: Sequence[Disagreement] = (),
) -> str:
    """The whole page.

    Args:
        curves: each loss term's, by arm.
        browser: of `browser_data`; clouds: of `viewer_data`.
        ablations: the record of the stage `ablations`, where it was run.
    """
    order = arm_order(results, curves)
    colours = [arm_class(arm["name"], order) for arm in browser["arms"]]
    browser = dict(browser, colours=colours, viewed=list(clouds["scenes"]))
    scripts = [script("browser.js")]
    if clouds["scenes"]:
        scripts += map(script, ("three/three.min.js", "cloud.js", "viewer.js"))
    parts = {
        "policy": policy(scripts),
        "style": asset("style.css"),
        "scripts": "".join(f"<script>{text}</script>\n" for text in scripts),
        "lead": lead(results),
        "figure": interval_figure(results, POOLS),
        "tables": "".join(map(as_html, results_tables(results))) + all_metrics(results),
        "ablations": ablations_section(ablations),
        "space": viewer_section(clouds),
        "layers": layers_section(results),
        "interpretability": interpretability_section(results, examples),
        "gate": gate_section(results["pseudo"]),
        "curves": curves_section(curves, order),
        "timings": timings_section(benchmarks),
        "data": embed(browser),
    }
    template = asset("template.html")
    return fill(template, parts | {"nav": navigation(fill(template, parts | {"nav": ""}))})


def arm_order(results: Mapping[str, Any], curves: Mapping[str, Mapping[str, Curve]]) -> list[str]:
    """The arms in the order of their colours: those with scores, then those that were trained."""
    order = [row["arm"] for row in results["rows"]]
    return order + [arm for arm in curve_arms(curves) if arm not in order]


def asset(name: str) -> str:
    """A file beside this one."""
    return files("spatialsv.report").joinpath(name).read_text()


def script(name: str) -> str:
    """A script of the page, as it stands between the tags: its digest is in the page's policy."""
    return f"\n{asset(name)}\n"


def policy(scripts: Sequence[str]) -> str:
    """Nothing is loaded from anywhere, and no script runs but these, whatever the data may hold."""
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in scripts)
    allowed = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )


def navigation(html: str) -> str:
    """A link to each section's heading that has an id."""
    found = re.findall(r'<h2 id="(\w+)">([^<]*)</h2>', html)
    return " ".join(f'<a href="#{name}">{title}</a>' for name, title in found)


def fill(template: str, parts: Mapping[str, str]) -> str:
    """Put each part in its {{place}}, once; what parts contain is not searched for places."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def embed(data: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def lead(results: Mapping[str, Any]) -> str:
    """The findings in sentences: tests first, then the blind check, then what size allows."""
    lines = [f"<p>{escape(sentence)}</p>" for sentence in findings(results)]
    lines += [f'<p class="caveat">{escape(sentence)}</p>' for sentence in results["statement"]]
    return "".join(lines)


def findings(results: Mapping[str, Any]) -> list[str]:
    """One sentence for each paired test, for lifted depth, and for the blind check."""
    found = []
    for test in results["tests"]:
        points = 100 * test["difference"]
        p = "p < 0.001" if test["p_holm"] < 0.001 else f"p = {test['p_holm']:.3f}"
        verdict = p if test["significant"] else f"not significant, {p}"
        found.append(
            f"{_capital(arm_label(test['first']))} against {arm_label(test['second'])}: "
            f"{points:+.1f} points on {test['n']} spatial questions ({verdict})."
        )
    for arm, metrics in results["lift"].items():
        if ratio := metrics.get("abs_rel_over_mean_depth"):
            found.append(
                f"{arm_label(arm)} lifts depth with AbsRel {metrics['abs_rel']['mean']:.3f}, "
                f"{ratio['mean']:.2f} times that of the mean depth of the training scenes."
            )
    for name, check in (results["blind"] or {}).items():
        pool = "spatial choices" if name == "spatial_choice" else "all spatial questions"
        holds = "contains" if check["contains_chance"] else "does not contain"
        found.append(
            f"The blind arm scores {100 * check['mean']:.1f} % on {pool}; its interval "
            f"[{100 * check['low']:.1f}, {100 * check['high']:.1f}] {holds} chance, "
            f"{100 * check['chance']:.1f} %."
        )
    return found


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def all_metrics(results: Mapping[str, Any]) -> str:
    """Every geometry metric, folded away."""
    tables = "".join(map(as_html, full_geometry_tables(results)))
    return (
        tables
        and f'<details class="more"><summary>All geometry metrics</summary>{tables}</details>'
    )


def curve_arms(curves: Mapping[str, Mapping[str, Curve]]) -> list[str]:
    """The arms that have any curve."""
    return list(dict.fromkeys(arm for term in curves.values() for arm in term))


def curves_section(curves: Mapping[str, Mapping[str, Curve]], order: Sequence[str]) -> str:
    """A panel a loss term, a line an arm. Empty without training logs."""
    if not curves:
        return ""
    arms = {arm: arm_label(arm) for arm in curve_arms(curves)}
    panels = "".join(
        f"<li>{panel(term, curves[term], order)}</li>" for term in terms_in_order(curves)
    )
    return (
        '<section aria-labelledby="curves"><h2 id="curves">Training</h2>'
        f'{legend(arms, order)}<ul class="panels">{panels}</ul></section>'
    )


def ablations_section(ablations: Mapping[str, Any] | None) -> str:
    """The paper's tables on our arms; empty where they were not made."""
    if ablations is None:
        return ""
    tables = "".join(as_html(ablation_table(result)) for result in ablations["tables"])
    return (
        '<section aria-labelledby="ablations"><h2 id="ablations">Ablations</h2>'
        '<div class="lead"><p>The tables of the paper (arXiv 2606.19915) on our arms, its values'
        f" beside ours.</p></div>{tables}{lifted_part(ablations['lift'])}</section>"
    )


def viewer_section(clouds: Mapping[str, Any]) -> str:
    """The 3D viewer and its data; empty where nothing is known in 3D."""
    if not clouds["scenes"]:
        return ""
    return (
        f"{asset('viewer.html')}"
        f'<script type="application/json" id="clouds">{embed(clouds)}</script>'
    )


def gate_section(gate: Mapping[str, Any] | None) -> str:
    """What the gate of pseudo labels keeps; empty where there are none."""
    if gate is None:
        return ""
    figure = ""
    if gate["measured"]:
        figure = (
            f"<figure>{gate_figure(gate['measured'])}<figcaption>Each threshold by itself, the"
            " other two switched off, and all three as set. Bars: 95 % interval of the distance to"
            " random dropping, resampled by scene.</figcaption></figure>"
        )
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in gate_findings(gate))
    return (
        '<section aria-labelledby="gate"><h2 id="gate">Pseudo-labels</h2>'
        f'<div class="lead">{sentences}</div>{figure}{as_html(gate_table(gate))}</section>'
    )


def timings_section(benchmarks: Sequence[Path]) -> str:
    """Jobs, time and memory of each stage, from Snakemake's benchmark files; empty without any."""
    stages: dict[str, list[dict[str, str]]] = {}
    for path in benchmarks:
        parts = path.with_suffix("").parts
        start = parts.index("benchmarks") + 1 if "benchmarks" in parts else -1
        with path.open(newline="") as file:
            stages.setdefault(parts[start], []).extend(csv.DictReader(file, delimiter="\t"))
    if not stages:
        return ""
    rows = tuple((stage, *_timing(jobs)) for stage, jobs in stages.items())
    head = ("stage", "jobs", "seconds, all jobs", "longest job, s", "peak memory, MB")
    table = Table(title="Time and memory by stage", head=head, rows=rows)
    return (
        f'<section aria-labelledby="timings"><h2 id="timings">Cost</h2>{as_html(table)}</section>'
    )


def _timing(jobs: Sequence[Mapping[str, str]]) -> tuple[str, str, str, str]:
    seconds = [number for job in jobs if (number := _float(job.get("s"))) is not None]
    memory = [number for job in jobs if (number := _float(job.get("max_rss"))) is not None]
    peak = f"{max(memory):.0f}" if memory else "-"
    return str(len(jobs)), f"{sum(seconds):.0f}", f"{max(seconds, default=0):.0f}", peak


def _float(text: str | None) -> float | None:
    """A benchmark's number; jobs too short to be measured say "NA" or "-"."""
    try:
        return float(text or "")
    except ValueError:
        return None
