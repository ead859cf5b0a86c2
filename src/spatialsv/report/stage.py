"""The stage: results.json, table.md and one HTML page from what the stages before it measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spatialsv.io.atomic import write_json, write_text
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.report.browser import browser_data, spread
from spatialsv.report.comparisons import Runs
from spatialsv.report.curves import Curve, curves_by_term
from spatialsv.report.examples import disagreements_of
from spatialsv.report.figures import figures_of, write_figures
from spatialsv.report.gate import build_gate
from spatialsv.report.interpret import build_interpretability
from spatialsv.report.interpret_page import flat_interpretability, seen
from spatialsv.report.interpret_tables import interpretability_tables
from spatialsv.report.jobs import Job, arm_label, by_arm, read_jobs, read_runs
from spatialsv.report.layers import build_layers
from spatialsv.report.page import arm_order, findings, page
from spatialsv.report.plots import curves_csv, scores_csv
from spatialsv.report.results import build_results
from spatialsv.report.tables import Table, as_markdown, as_text, results_tables
from spatialsv.report.viewer import EXACT, Maps, known_maps, stored_maps, viewer_data

Paths = Sequence[str | Path]


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What the report shows."""

    browser_scenes: int = 96  # scenes whose questions can be browsed
    image_side: int = 160  # pixels; longer images are made smaller
    image_quality: int = 85  # of JPEG
    viewer_scenes: int = 32  # of them, those that can be seen in 3D
    viewer_points: int = 20_000  # of a point cloud; larger ones are thinned
    max_megabytes: float = 15.0  # of the page; scenes are left out until it fits
    resamples: int = 2000  # of the bootstrap
    seed: int = 0  # of bootstrap and permutations


def run(
    *,
    evaluate: Paths,
    config: ReportConfig,
    out: str | Path,
    lift: Paths = (),
    probe: Paths = (),
    train: Paths = (),
    pseudo: Paths = (),
    scenes: Paths = (),
    labels: Paths = (),
    ablations: Paths = (),
    benchmarks: Paths = (),
) -> Manifest:
    """Write the tables, the page and `out`; print the tables and the page's path.

    Args:
        evaluate: manifests of evaluate jobs; lift, probe, train, pseudo: of those stages, or none.
        out: where the manifest goes; payload beside it.
        scenes: manifests of the test scenes, which the question browser and the 3D view show.
        labels: manifests of a teacher's labels of them, shown beside what models lift.
        ablations: the manifest of that stage, if its tables are to be shown.
        benchmarks: Snakemake's benchmark files.

    Raises:
        ValueError: no evaluate manifest, or arms that were asked different questions.
    """
    out = Path(out)
    if not evaluate:
        raise ValueError("no evaluate manifests: there is nothing to report")
    runs, lifts, probes = read_runs(evaluate), read_jobs(lift), read_jobs(probe)
    shown = [read_manifest(path) for path in scenes]
    results = measured(runs, read_jobs(evaluate), lifts, probes, pseudo, shown, config)
    curves = training_curves(read_jobs(train))
    tables = results_tables(results)
    sentences = [*findings(results), *results["statement"]]
    _write_numbers(out.parent, results, tables, sentences, curves)
    known = known_maps(shown, [read_manifest(path) for path in labels])
    lifted, probed = stored_maps(lifts), stored_maps(probes)
    apart = results["interpretability"]["disagreements"]
    examples = disagreements_of(apart, runs, shown, known.get(EXACT, {}), lifted, probed)
    figures = figures_of(results, curves, arm_order(results, curves), examples)
    drawn = write_figures(out.parent, figures)
    html = fitting_page(
        results,
        runs,
        shown,
        known,
        named_maps(lifted, probed),
        config,
        curves=curves,
        examples=examples,
        ablations=read_ablations(ablations),
        benchmarks=[Path(path) for path in benchmarks],
    )
    write_text(out.parent / "report.html", html)
    _print("\n\n".join([*map(as_text, tables), "\n".join(sentences)]))
    _print(f"\nReport: {(out.parent / 'report.html').resolve()}")
    return _finish(out, results, config, drawn)


def measured(
    runs: Runs,
    evaluated: Sequence[Job],
    lifts: Sequence[Job],
    probes: Sequence[Job],
    pseudo: Paths,
    scenes: Sequence[Manifest],
    config: ReportConfig,
) -> dict[str, Any]:
    """All that the report says in numbers, as in results.json."""
    bootstrap = (config.resamples, config.seed)
    results = build_results(runs, lifts, probes, *bootstrap)
    results["layers"] = build_layers(probes)
    results["pseudo"] = build_gate(pseudo, *bootstrap)
    results["interpretability"] = build_interpretability(
        runs, evaluated, lifts, probes, scenes, *bootstrap
    )
    return results


def flat_metrics(results: dict[str, Any]) -> dict[str, Any]:
    """The means alone, by stage, arm and name: what `dvc metrics` shows and compares."""
    replies = {
        row["arm"]: {task: score["mean"] for task, score in row["scores"].items()}
        for row in results["rows"]
    }
    geometry = {
        stage: {
            arm: {name: value["mean"] for name, value in metrics.items()}
            for arm, metrics in results[stage].items()
        }
        for stage in ("lift", "probe")
    }
    return {
        "evaluate": replies,
        **geometry,
        "pseudo": _gate_metrics(results["pseudo"]),
        "interpretability": flat_interpretability(results["interpretability"]),
    }


def _gate_metrics(gate: Mapping[str, Any] | None) -> dict[str, Any]:
    if gate is None:
        return {}
    kept = {
        "kept_share": gate["kept"]["mean"],
        "left_out_share": len(gate["left_out"]) / gate["scenes"],
    }
    rows = (gate["measured"] or {}).get("rows", {})
    return kept | {
        name: {metric: row[metric] for metric in ("share", "abs_rel", "precision")}
        for name, row in rows.items()
        if row["precision"] is not None
    }


def training_curves(train: Sequence[Job]) -> dict[str, dict[str, Curve]]:
    """Each loss term's curve by arm, of each arm's first seed."""
    first = {arm: jobs[0].manifest.resolve("log.jsonl") for arm, jobs in by_arm(train).items()}
    return curves_by_term(first)


def read_ablations(paths: Paths) -> dict[str, Any] | None:
    """That stage's record; None where it was not run."""
    found = [read_manifest(path).resolve("results.json").read_text() for path in paths]
    return json.loads(found[0]) if found else None


def named_maps(lifted: Mapping[str, Maps], probed: Mapping[str, Maps]) -> dict[str, Maps]:
    """Where models' geometry lies, by how it was had and from which arm, in words."""
    named = {f"lifted by {arm_label(arm)}": maps for arm, maps in lifted.items()}
    return named | {f"probed in {arm_label(arm)}": maps for arm, maps in probed.items()}


def fitting_page(
    results: dict[str, Any],
    runs: Runs,
    scenes: Sequence[Manifest],
    known: Mapping[str, Maps],
    lifted: Mapping[str, Maps],
    config: ReportConfig,
    **sections: Any,
) -> str:
    """The page with as many scenes to browse as keep it within the size allowed.

    Args:
        known: of `known_maps`; lifted: of `named_maps`.
        sections: what else `page` takes.

    Raises:
        ValueError: it is too large without any.
    """
    depths = {whose: maps for whose, maps in known.items() if whose != EXACT} | dict(lifted)
    limit = config.browser_scenes
    while True:
        data = browser_data(runs, scenes, depths, limit, config.image_side, config.image_quality)
        viewed = spread(list(data["scenes"]), min(config.viewer_scenes, limit))
        clouds = viewer_data(known, lifted, viewed, config.viewer_points)
        html = page(results, browser=data, clouds=clouds, **sections)
        size = len(html.encode()) / 1e6  # MB
        if size <= config.max_megabytes:
            return html
        if limit == 0:
            raise ValueError(
                f"report.max_megabytes {config.max_megabytes}: the page needs {size:.1f} MB "
                "without any scene; allow more"
            )
        limit = min(limit - 1, int(limit * config.max_megabytes / size))


def _write_numbers(
    folder: Path,
    results: dict[str, Any],
    tables: Sequence[Table],
    sentences: Sequence[str],
    curves: Mapping[str, Mapping[str, Curve]],
) -> None:
    """Everything but figures and page."""
    write_json(folder / "results.json", results)
    write_json(folder / "metrics.json", flat_metrics(results))
    told = "\n".join(f"- {sentence}" for sentence in [*sentences, *seen(results)])
    more = map(as_markdown, [*tables, *interpretability_tables(results)])
    write_text(folder / "table.md", "\n\n".join([*more, told]) + "\n")
    write_text(folder / "scores.csv", scores_csv(results))
    write_text(folder / "curves.csv", curves_csv(curves.get("text", {})))


def _finish(
    out: Path, results: dict[str, Any], config: ReportConfig, more: Sequence[str]
) -> Manifest:
    names = (
        *("results.json", "metrics.json", "scores.csv", "curves.csv"),
        *("table.md", "report.html"),
        *more,
    )
    manifest = Manifest(
        stage="report",
        payload={name: digest_path(out.parent / name) for name in names},
        counts={"arms": len(results["rows"]), "tests": len(results["tests"])},
        config=asdict(config),
        path=out,
    )
    write_manifest(out, manifest)
    return manifest


def _print(text: str) -> None:
    """To standard output, which is what this stage is for."""
    sys.stdout.write(text + "\n")
