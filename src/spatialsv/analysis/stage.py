"""The stage: tidy tables, metrics, and the data of the report's viewers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatialsv.analysis import comparisons, gate, quality, tables
from spatialsv.analysis.browser import browser_payload, evenly_spaced, mark_examples
from spatialsv.analysis.causal import causal_tables
from spatialsv.analysis.clouds import EXACT, cloud_payload, model_maps, reference_maps
from spatialsv.analysis.curves import curve_table
from spatialsv.analysis.jobs import Job, Runs, read_jobs, read_runs
from spatialsv.analysis.layers import layer_table
from spatialsv.analysis.metrics import flat_metrics, headline_metrics
from spatialsv.analysis.origin import describe_origin
from spatialsv.analysis.scores import (
    geometry_table,
    no_image_table,
    score_table,
    shortcut_table,
)
from spatialsv.analysis.solver_scores import solver_tables
from spatialsv.analysis.tables import Row
from spatialsv.io.atomic import write_json, write_text
from spatialsv.io.manifest import Manifest, read_manifest

Paths = Sequence[str | Path]


@dataclass(frozen=True, kw_only=True)
class AnalysisConfig:
    """Statistics of the tables, and size of the viewers' data."""

    resamples: int = 2000  # of the bootstrap
    seed: int = 0  # of bootstrap and permutations
    min_items: int = 20  # questions of a task with a separate row; other tasks share one
    browser_scenes: int = 96  # scenes in the question browser
    image_side: int = 160  # pixels; larger images are reduced
    image_quality: int = 85  # of JPEG
    viewer_scenes: int = 32  # scenes of the browser that the 3D viewer has as well
    viewer_points: int = 20_000  # upper limit of a point cloud; larger ones are thinned


def run(
    *,
    evaluate: Paths,
    config: AnalysisConfig,
    out: str | Path,
    lift: Paths = (),
    probe: Paths = (),
    train: Paths = (),
    pseudo: Paths = (),
    scenes: Paths = (),
    labels: Paths = (),
    selection: Path | None = None,
) -> Manifest:
    """Write the tables, metrics, plots for DVC, and the data of the report's viewers.

    Args:
        evaluate: manifests of the evaluate jobs.
        config: statistics and sizes.
        out: path of the manifest; all files go to the same folder.
        lift: manifests of the lift jobs.
        probe: manifests of the probe jobs.
        train: manifests of the training jobs.
        pseudo: manifests of pseudo-labels.
        scenes: manifests of the test scenes.
        labels: manifests of a teacher's labels of these scenes.
        selection: manifest of the questions across views, with their gates.

    Returns:
        The manifest.

    Raises:
        ValueError: evaluate manifests are missing, or arms answered different questions.
    """
    out = Path(out)
    if not evaluate:
        raise ValueError("No evaluate manifests: nothing to analyse. Give --evaluate.")
    evaluated, lifts, probes = map(read_jobs, (evaluate, lift, probe))
    runs = read_runs(evaluated)
    manifests = [read_manifest(path) for path in scenes]
    jobs = (evaluated, lifts, probes, read_jobs(train))
    rows = build_tables(runs, *jobs, pseudo, manifests, config)
    rows["shortcuts"] = shortcut_table(read_manifest(selection)) if selection else []
    plots = {"plots/scores.csv": tables.scores_by_arm(rows["scores"])}
    plots["plots/curves.csv"] = tables.loss_by_step(rows["curves"])
    viewers = viewer_records(runs, lifts, probes, manifests, labels, rows["disagreements"], config)
    metrics = {"headline.json": headline_metrics(rows), "metrics.json": flat_metrics(rows)}
    records = {**metrics, **viewers}
    names = tables.write_tables(out.parent, rows)
    for name, text in plots.items():
        write_text(out.parent / name, text)
    for name, record in records.items():
        write_json(out.parent / name, record)
    counts = {"arms": len(runs), "comparisons": len(rows["comparisons"])}
    empty = ", ".join(name for name, table in rows.items() if not table) or "none"
    print(
        f"analysis: {len(runs)} arms, {len(rows['comparisons'])} comparisons, {len(rows)} tables"
        f" (without rows: {empty}); {out.parent}"
    )
    about = describe_origin(evaluated, jobs[-1], manifests)
    return tables.write_stage(out, "analysis", [*names, *plots, *records], counts, config, about)


def build_tables(
    runs: Runs,
    evaluated: Sequence[Job],
    lifts: Sequence[Job],
    probes: Sequence[Job],
    trains: Sequence[Job],
    pseudo: Paths,
    scenes: Sequence[Manifest],
    config: AnalysisConfig,
) -> dict[str, list[Row]]:
    """Build all tables; `datapackage.json` documents their columns."""
    bootstrap = (config.resamples, config.seed)
    scores = score_table(runs, *bootstrap, config.min_items)
    pairs = comparisons.comparison_table(runs, comparisons.text_pairs(runs), config.seed)
    for row in pairs:
        size = comparisons.detectable_per_task(runs, row["first"], row["second"])
        row["minimum_detectable_difference_per_task"] = size
    return {
        "scores": scores,
        "comparisons": pairs,
        "no_image": no_image_table(scores),
        "geometry": geometry_table("lift", lifts) + geometry_table("probe", probes),
        "layers": layer_table(probes),
        **causal_tables(probes),
        "curves": curve_table(trains),
        **gate.gate_tables(pseudo, *bootstrap),
        **quality_tables(runs, evaluated, lifts, probes, scenes, config),
    }


def quality_tables(
    runs: Runs,
    evaluated: Sequence[Job],
    lifts: Sequence[Job],
    probes: Sequence[Job],
    scenes: Sequence[Manifest],
    config: AnalysisConfig,
) -> dict[str, list[Row]]:
    """Build the tables of geometry quality against accuracy and of the geometry-only solver."""
    resamples, seed = config.resamples, config.seed
    responses, pooled = quality.responses_by_job(runs, evaluated), quality.spatial_scores(runs)
    seeds = {arm: [job for job in lifts if job.arm == arm] for arm in pooled}
    errors = {arm: error for arm, jobs in seeds.items() if (error := quality.scene_errors(jobs))}
    properties = quality.scene_properties(scenes) if errors else {}
    parts = [
        quality.arm_tables(stage, jobs, responses, pooled, resamples, seed)
        for stage, jobs in (("probe", probes), ("lift", lifts))
    ]
    parts += [
        quality.scene_tables(arm, error, pooled, properties, resamples, seed)
        for arm, error in errors.items()
    ]
    parts.append(solver_tables(lifts, responses, scenes, resamples, seed, config.min_items))
    merged: dict[str, list[Row]] = {"quality_bins": []}
    for part in parts:
        for name, rows in part.items():
            merged.setdefault(name, []).extend(rows)
    merged["trends"] = quality.correct_together(merged["trends"], ["log_number"])
    merged["disagreements"] = [
        row for arm, error in errors.items() for row in quality.disagreement_rows(arm, runs, error)
    ]
    return merged


def viewer_records(
    runs: Runs,
    lifts: Sequence[Job],
    probes: Sequence[Job],
    scenes: Sequence[Manifest],
    labels: Paths,
    disagreements: Sequence[Row],
    config: AnalysisConfig,
) -> dict[str, Any]:
    """Build the data of the question browser and the 3D viewer; mark examples of disagreements."""
    references = reference_maps(scenes, [read_manifest(path) for path in labels])
    lifted, probed = model_maps(lifts), model_maps(probes)
    models = {f"lifted:{arm}": maps for arm, maps in lifted.items()}
    models |= {f"probed:{arm}": maps for arm, maps in probed.items()}
    depths = {source: maps for source, maps in references.items() if source != EXACT} | models
    examples = mark_examples(disagreements, scenes, probed | lifted)
    sizes = (config.browser_scenes, config.image_side, config.image_quality)
    browser = browser_payload(runs, scenes, depths, *sizes, examples)
    count = min(config.viewer_scenes, config.browser_scenes)
    viewed = dict.fromkeys([*evenly_spaced(list(browser["scenes"]), count), *examples])
    return {
        "browser.json": browser,
        "clouds.json": cloud_payload(references, models, viewed, config.viewer_points),
    }
