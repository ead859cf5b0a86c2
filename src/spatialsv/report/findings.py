"""The findings of the report in sentences: the result first, then what limits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spatialsv.report.data import Row, Tables, unique, where
from spatialsv.report.labels import arm_label
from spatialsv.report.result_tables import GATE, REFERENCE
from spatialsv.report.tables import format_interval, format_p, format_significance

ERRORS = {"probe": "Probe depth RMSE", "lift": "Lifted depth RMSE"}
POOLS = {"spatial": "all spatial questions", "spatial_choice": "spatial choices"}
THRESHOLDS = {
    "confidence_percentile": "The confidence percentile",
    "pixels": "The reprojection limit (pixels)",
    "relative_depth": "The relative depth limit",
}


def main_findings(tables: Tables) -> list[str]:
    """Return a sentence per comparison, per lifting arm, and per pool of the no-image baseline."""
    sentences = []
    for row in tables["comparisons"]:
        p = format_p(row["p_holm"])
        sentences.append(
            f"{_capital(arm_label(row['first']))} against {arm_label(row['second'])}:"
            f" {100 * row['difference']:+.1f} points{format_interval(row, 100, 1)} on {row['n']}"
            f" spatial questions ({format_significance(row)}, p {p if '<' in p else f'= {p}'})."
        )
    lifted = where(tables["geometry"], stage="lift")
    for arm in unique(lifted, "arm"):
        means = {row["metric"]: row["mean"] for row in where(lifted, arm=arm)}
        if ratio := means.get("abs_rel_over_mean_depth"):
            sentences.append(
                f"{arm_label(arm)} lifts depth with AbsRel {means['abs_rel']:.3f}, {ratio:.2f}"
                " times that of the training scenes' mean depth."
            )
    for row in tables["no_image"]:
        contains = "contains" if row["contains_chance"] else "does not contain"
        sentences.append(
            f"The no-image baseline scores {100 * row['mean']:.1f} %"
            f"{format_interval(row, 100, 1)} on {POOLS[row['pool']]}; the interval"
            f" {contains} chance, {100 * row['chance']:.1f} %."
        )
    return sentences


def power_findings(tables: Tables) -> list[str]:
    """Return sentences on what a test of this size can detect."""
    sentences = []
    pairs = where(tables["comparisons"], second=REFERENCE)
    pairs = [row for row in pairs if row["first"] != "base"]  # far apart in any case
    row = next((one for one in pairs if one["first"] == "spatialsv"), next(iter(pairs), None))
    if row and row["minimum_detectable_difference"]:
        sentences.append(
            f"Minimum detectable difference between {arm_label(row['first'])} and"
            f" {arm_label(row['second'])} (80 % power):"
            f" {100 * row['minimum_detectable_difference']:.1f} points, with {row['n']} spatial"
            f" questions about {row['scenes']} scenes. Smaller differences may go undetected."
        )
        if single := row["minimum_detectable_difference_per_task"]:
            sentences.append(
                f"For a single task it is {100 * single:.0f} points (median over tasks): do not"
                " interpret smaller differences between columns."
            )
        if row["seed_deviation"] is not None:
            sentences.append(
                f"Variance across seeds: over {row['seed_pairs']} training seeds the difference has"
                f" a standard deviation of {100 * row['seed_deviation']:.1f} points, which the"
                " tests include."
            )
    trained = where(tables["scores"], is_trained=True)
    if trained and max(one["seeds"] for one in trained) == 1:
        sentences.append(
            "Each arm has one training seed: intervals and tests cover the choice of questions and"
            " scenes, not the variance across seeds."
        )
    return sentences


def quality_findings(tables: Tables) -> list[str]:
    """Return sentences on geometry quality against accuracy, and on the geometry-only solver."""
    sentences = [correlation_finding(row) for row in tables["quality_correlation"]]
    trends: dict[str, dict[str, Row]] = {}
    for row in tables["trends"]:
        trends.setdefault(row["arm"], {})[row["trend"]] = row
    for arm, own in trends.items():
        if "raw" in own:
            sentences.append(_quality_trend(arm, own))
    for summary in tables["solver_summary"]:
        arm = summary["arm"]
        pool = where(tables["solver_scores"], arm=arm, task="choice")
        sentences += [_solver_finding(arm, pool)] if pool else []
        own = trends.get(arm, {})
        if row := own.get("correct_lead") or own.get("correct"):
            what = f"the accuracy of {arm_label(arm)}"
            if row["trend"] == "correct_lead":
                what = f"the lead of {arm_label(arm)} over {arm_label(REFERENCE)}"
            sentences.append(f"Where the solver is correct, {what} is higher by {_slope(row)}.")
    for arm in unique(tables["disagreements"], "arm"):
        rows = where(tables["disagreements"], arm=arm)
        counts = {
            winner: len(where(rows, correct_arm=winner)) for winner in (arm, rows[0]["reference"])
        }
        words = ", and ".join(f"{n} only {arm_label(name)}" for name, n in counts.items())
        sentences.append(
            f"Spatial questions that only one arm answers correctly (first seeds): {words}. The"
            " question browser can filter by disagreement."
        )
    return sentences


def correlation_finding(row: Row) -> str:
    """Return a sentence on the correlation of depth error and accuracy over arms."""
    arms, error = row["arms"], ERRORS[row["stage"]]
    if row["rho"] is None:
        count = f"{arms} arm{'' if arms == 1 else 's'}"
        return f"{error} against accuracy: {count}; a correlation needs {row['min_arms']}."
    caution = ""
    if row["least_p"] > 0.01:
        caution = f"; with {arms} arms p cannot be below {row['least_p']:.3f}"
    return (
        f"{error} against accuracy over {arms} arms: Spearman"
        f" {row['rho']:.2f}{format_interval(row, 1, 2)}, p = {row['p']:.3f}{caution}."
    )


def gate_findings(tables: Tables) -> list[str]:
    """Return sentences on what the gate keeps, and whether kept pixels are more accurate."""
    (summary,) = tables["gate_summary"]
    sentences = [
        f"The gate keeps {100 * summary['kept_mean']:.1f} % of the pixels of {summary['scenes']}"
        f" pseudo-labelled scenes, at least {100 * summary['kept_min']:.1f} % of each scene. It"
        f" excludes {summary['excluded_scenes']} scenes."
    ]
    sentences += [
        f"Excluded: {row['scene']}, which {row['excluded_because']}."
        for row in tables["gate_scenes"]
        if row["excluded_because"]
    ]
    if not summary["measured_scenes"]:
        return [*sentences, "True depth is known for too few scenes to measure accuracy."]
    if summary["difference"] is None:
        return [*sentences, "All pixels with known depth are kept, or all dropped: no comparison."]
    rows = {row["pixels"]: row for row in tables["gate_pixels"]}
    kept, dropped, tolerance = rows["kept"], rows["dropped"], 100 * summary["tolerance"]
    sentences.append(
        f"Kept pixels are {_verdict(summary)} dropped ones: AbsRel {kept['abs_rel']:.3f} against"
        f" {dropped['abs_rel']:.3f}; {100 * kept['precision']:.1f} % are within {tolerance:g} % of"
        f" the true depth, against {100 * dropped['precision']:.1f} %"
        f" ({_points(summary, 'difference')}). Dropping as many at random would give"
        f" {100 * rows['all']['precision']:.1f} %."
    )
    sentences += _best_single_threshold(kept, tables["gate_sweeps"])
    sentences += [
        f"Pixels {GATE[name]} are not clearly less accurate than all pixels:"
        f" {100 * row['precision']:.1f} % within {tolerance:g} % ({_points(row, 'gain')})."
        for name, row in rows.items()
        if name in ("unsure", "unseen", "inconsistent")
        and row["gain"] is not None
        and row["gain_high"] >= 0
    ]
    sweeps = tables["gate_sweeps"]
    return sentences + [
        _sweep_finding(name, where(sweeps, threshold=name)) for name in unique(sweeps, "threshold")
    ]


def _best_single_threshold(kept: Row, sweeps: Sequence[Row]) -> list[str]:
    """The best precision of one threshold that keeps as many pixels, interpolated."""
    reached = {}
    for name in unique(sweeps, "threshold"):
        rows = [row for row in where(sweeps, threshold=name) if row["gain"]]
        rows.sort(key=lambda row: row["share"])
        shares, precisions = ([row[column] for row in rows] for column in ("share", "precision"))
        if rows and shares[0] <= kept["share"] <= shares[-1]:
            reached[name] = float(np.interp(kept["share"], shares, precisions))
    if not reached:
        return []
    best = max(reached, key=lambda name: reached[name])
    verdict = "improve" if reached[best] < kept["precision"] else "do not improve"
    return [
        f"{THRESHOLDS[best]} alone, set to keep as many pixels, would give"
        f" {100 * reached[best]:.1f} %: the other thresholds {verdict} on that."
    ]


def _sweep_finding(name: str, sweep: Sequence[Row]) -> str:
    """The best value of one threshold alone, and the values without effect."""
    rows = [row for row in sweep if row["gain"] is not None]
    best = max(rows, key=lambda row: row["precision"])
    idle = [f"{r['value']:g}" for r in rows if r["share"] < 1 and r["gain_low"] <= 0]
    return (
        f"{THRESHOLDS[name]} alone is best at {best['value']:g}: it keeps"
        f" {100 * best['share']:.0f} % of the pixels, of which {100 * best['precision']:.1f} % are"
        f" correct ({_points(best, 'gain')} over random dropping)"
        + (f"; at {', '.join(idle)} it is not clearly better than random." if idle else ".")
    )


def _quality_trend(arm: str, own: Mapping[str, Row]) -> str:
    text = (
        f"From scenes with the worst lifted depth to those with the best, the accuracy of"
        f" {arm_label(arm)} changes by {_slope(own['raw'])}"
    )
    other = arm_label(REFERENCE)
    if "controlled" in own:
        text += f"; with task, scene and responses of {other} controlled by"
        text += f" {_slope(own['controlled'])}"
    if "lead" not in own:
        return f"{text}. Difficulty is not controlled: no other model was evaluated."
    return f"{text}; its lead over {other} on the same questions by {_slope(own['lead'])}."


def _solver_finding(arm: str, pool: Sequence[Row]) -> str:
    score = {row["source"]: f"{100 * row['mean']:.1f} %" for row in pool}
    return (
        f"On {pool[0]['n']} choices about positions, the geometry-only solver scores"
        f" {score['lifted']} from the geometry that {arm_label(arm)} lifts, against"
        f" {score['response']} of the model's responses. From lifted cameras with mean depth:"
        f" {score['lifted_cameras']}; exact cameras with lifted depth: {score['lifted_depth']};"
        f" exact cameras with mean depth: {score['mean_depth']}; chance: {score['chance']}."
    )


def _verdict(summary: Mapping[str, Any]) -> str:
    if summary["difference_low"] > 0:
        return "more accurate than"
    is_worse = summary["difference_high"] < 0
    return "less accurate than" if is_worse else "not clearly more accurate than"


def _points(row: Mapping[str, Any], name: str) -> str:
    mean, low, high = (100 * row[column] for column in (name, f"{name}_low", f"{name}_high"))
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}] points"


def _slope(row: Row) -> str:
    points = f"{100 * row['slope']:+.1f} points{format_interval(row, 100, 1)}"
    return points if row["significant"] else f"{points}, not significant"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
