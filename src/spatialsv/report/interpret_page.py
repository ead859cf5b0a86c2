"""The section on what models see beside what they answer: sentences, tables, and its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from spatialsv.report.examples import EACH, Disagreement
from spatialsv.report.examples_figure import examples_figure
from spatialsv.report.interpret_figures import bins_figure, error_figure, geometry_figure
from spatialsv.report.interpret_tables import interpretability_tables
from spatialsv.report.jobs import arm_label
from spatialsv.report.tables import as_html

AXES = {
    "probe": ("What a frozen probe reads, and accuracy", "probe's depth RMSE"),
    "lift": ("Lifted depth, and accuracy", "lifted depth RMSE"),
}
CAPTIONS = {  # by the first word of a figure's file
    "probe": "A ring an arm, with its 95 % interval, resampled by scene; a dot a seed.",
    "lift": "A ring an arm, with its 95 % interval, resampled by scene; a dot a seed.",
    "bins": "Mean score of spatial questions, and 95 % interval, resampled by scene.",
    "geometry": "The dashed line is chance. Masks, the way up and one length a scene are the"
    " truth's.",
    "disagreements": f"Up to {EACH} choices that one model alone got right, then {EACH} of the"
    " other's: spaced evenly over all of them, not picked. Near is dark. All clouds are seen from"
    " one place; nothing is aligned.",
}


def figures(results: Mapping[str, Any], examples: Sequence[Disagreement] = ()) -> dict[str, str]:
    """Each figure that there is something for, by the name of its file, which has no ending."""
    record, order = results["interpretability"], arms_of(results)
    found = {
        f"{stage}_accuracy": error_figure(record[stage], order, *AXES[stage])
        for stage in AXES
        if record[stage] and len(record[stage]["arms"]) > 1
    }
    found |= {f"bins_{arm}": bins_figure(arm, r, order) for arm, r in record["bins"].items()}
    found |= {
        f"geometry_{arm}": geometry_figure(arm, r, order) for arm, r in record["geometry"].items()
    }
    return found | {f"disagreements_{one.arms[0]}": examples_figure(one) for one in examples}


def interpretability_section(
    results: Mapping[str, Any], examples: Sequence[Disagreement] = ()
) -> str:
    """Empty where nothing was probed or lifted."""
    svgs = figures(results, examples)
    told = "".join(f"<p>{escape(sentence)}</p>" for sentence in seen(results))
    if not told:
        return ""
    shown = "".join(_captioned(name.partition("_")[0], svg) for name, svg in svgs.items())
    tables = "".join(map(as_html, interpretability_tables(results)))
    return (
        '<section aria-labelledby="seeing"><h2 id="seeing">Seeing and answering</h2>'
        f'<div class="lead">{told}</div>{shown}{tables}</section>'
    )


def lifted_part(record: Mapping[str, Any] | None) -> str:
    """The same of the ablations' arms, lifted depth alone; empty where none lifts."""
    if record is None:
        return ""
    figure, told = lifted_figure(record), f"<p>{escape(correlation_told(record))}</p>"
    return (_captioned("lift", figure) if figure else "") + told


def _captioned(kind: str, svg: str) -> str:
    return f"<figure>{svg}<figcaption>{CAPTIONS[kind]}</figcaption></figure>"


def arms_of(results: Mapping[str, Any]) -> list[str]:
    """The page's order of colours, and behind it the arms that only these figures show."""
    record, order = results["interpretability"], [row["arm"] for row in results["rows"]]
    shown = [p["arm"] for stage in AXES if record[stage] for p in record[stage]["points"]]
    return list(dict.fromkeys([*order, *shown]))


def seen(results: Mapping[str, Any]) -> list[str]:
    """What the figures say, and what they cannot."""
    record, found = results["interpretability"], []
    for stage, (_, words) in AXES.items():
        if record[stage]:
            found.append(correlation_told(record[stage], words))
    for arm, part in record["bins"].items():
        found += _trends(arm, part)
    for arm, part in record["geometry"].items():
        found += _geometry(arm, part)
    for part in record["disagreements"]:
        first, second = arm_label(part["first"]), arm_label(part["second"])
        found.append(
            f"{len(part['only_first'])} spatial questions {first} alone got right, and"
            f" {len(part['only_second'])} {second} alone (first seeds); the report's browser"
            " filters by replies that disagree."
        )
    return found


def lifted_figure(record: Mapping[str, Any] | None) -> str | None:
    """Lifted depth and accuracy over the arms of the ablations; None of fewer than two."""
    if record is None or len(record["arms"]) < 2:
        return None
    return error_figure(record, [arm["arm"] for arm in record["arms"]], *AXES["lift"])


def correlation_told(record: Mapping[str, Any], words: str = AXES["lift"][1]) -> str:
    """How an error goes with accuracy, in a sentence.

    Args:
        record: of `against_error`.
        words: which error.
    """
    told, arms = record["correlation"], len(record["arms"])
    if told is None:
        return (
            f"{words[0].upper()}{words[1:]} against accuracy: {_count(arms, 'arm')}, too few for a"
            f" correlation, which takes {record['needs']}."
        )
    interval = ""
    if told["low"] is not None:
        interval = f" [{told['low']:.2f}, {told['high']:.2f}]"
    caution = ""
    if told["least_p"] > 0.01:
        caution = f"; {arms} arms cannot show less than p = {told['least_p']:.3f}"
    return (
        f"{words[0].upper()}{words[1:]} against accuracy over {arms} arms: Spearman"
        f" {told['rho']:.2f}{interval}, p = {told['p']:.3f}{caution}."
    )


def _trends(arm: str, part: Mapping[str, Any]) -> list[str]:
    raw, beyond = part["trends"]["raw"], part["trends"]["beyond"]
    if raw is None:
        return []
    text = f"From the scenes that {arm_label(arm)} sees worst to those that it sees best, accuracy"
    text += f" changes by {_slope(raw)}"
    if beyond is None:
        return [f"{text}. No other model was asked, so difficulty is not controlled."]
    controlled = part["trends"]["controlled"]
    other = arm_label(part["other"])
    if controlled is not None:
        text += f"; with task, scene and {other}'s answers controlled by {_slope(controlled)}"
    return [f"{text}; its lead over {other} on the same questions by {_slope(beyond)}."]


def _geometry(arm: str, part: Mapping[str, Any]) -> list[str]:
    found = []
    if pool := part["pools"].get("choice"):
        found.append(
            f"On {pool['n']} choices about places in rooms, the geometry that {arm_label(arm)}"
            f" lifts is right {_score(pool['lifted'])} by itself (with the mean"
            f" depth in place of its depth {_score(pool['lifted_cameras'])}, with exact cameras in"
            f" place of its cameras {_score(pool['lifted_depth'])}, with both"
            f" {_score(pool['mean_depth'])}, guessing"
            f" {_score(pool['chance'])}); its replies are right {_score(pool['reply'])}."
        )
    beyond = part["trends"]["right_beyond"] or part["trends"]["right"]
    if beyond:
        words = f"{arm_label(arm)} scores higher"
        if part["other"]:
            words = f"the lead of {arm_label(arm)} over {arm_label(part['other'])} grows"
        found.append(f"Where its geometry is right rather than wrong, {words} by {_slope(beyond)}.")
    return found


def flat_interpretability(record: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers alone, for `dvc metrics`."""
    found: dict[str, Any] = {}
    for stage in AXES:
        if record[stage] and record[stage]["correlation"]:
            told = record[stage]["correlation"]
            found[f"{stage}_accuracy"] = {name: told[name] for name in ("rho", "p", "n")}
    for key in ("bins", "geometry"):
        for arm, part in record[key].items():
            own = found.setdefault(arm, {})
            own |= {name: told["slope"] for name, told in part["trends"].items() if told}
    for arm, part in record["geometry"].items():
        for pool, scores in part["pools"].items():
            found[arm][pool] = {name: told["mean"] for name, told in scores.items() if name != "n"}
        for told in part["agreement"]:
            if told["arm"] == arm and told["kappa"]:
                found[arm]["kappa"] = told["kappa"]["kappa"]
    return found


def _slope(found: Mapping[str, Any]) -> str:
    verdict = "" if found["significant"] else ", not significant"
    points = (100 * found[name] for name in ("slope", "low", "high"))
    return "{:+.1f} points [{:.1f}, {:.1f}]".format(*points) + verdict


def _score(number: Mapping[str, Any]) -> str:
    return f"{100 * number['mean']:.1f} %"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
