"""What linear probes read from each layer: the record of all arms, its table, the page's part."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from spatialsv.report.jobs import Job, arm_label, by_arm
from spatialsv.report.layers_figure import (
    CONTROLS,
    TITLES,
    Number,
    arm_order,
    cell,
    layer_name,
    panel,
)
from spatialsv.report.palette import legend
from spatialsv.report.tables import Table, as_html


def build_layers(probe: Sequence[Job]) -> dict[str, Any] | None:
    """The layers' records of all arms, of the short metrics; None where no job has one.

    `arms` has by arm, as in the probe's layers.json, `curves`, `selectivity` and `best` (of the
    arm's first seed), and `dpt`: the depth probe's RMSE. Numbers are means over training's seeds;
    so are the ends of intervals, which are over scenes.
    """
    arms: dict[str, Any] = {}
    first: dict[str, Any] = {}
    for arm, jobs in by_arm(probe).items():
        paths = [job.manifest.resolve("layers.json") for job in jobs]
        records = [json.loads(path.read_text()) for path in paths if path.is_file()]
        if not records:
            continue
        first = first or records[0]
        if any(record["layers"] != first["layers"] for record in records):
            raise ValueError(f"arm {arm!r} was probed at other layers; force the probe stage")
        metrics = list(first["headlines"].values())
        arms[arm] = {
            part: {
                name: {metric: _over_seeds(records, part, name, metric) for metric in metrics}
                for name in records[0][part]
            }
            for part in ("curves", "selectivity")
        }
        arms[arm] |= {"best": records[0]["best"], "dpt": _dpt(records)}
    if not arms:
        return None
    headlines = {task: first["headlines"][task] for task in TITLES}
    record = {"layers": first["layers"], "taps": first["taps"], "headlines": headlines}
    return record | {"arms": arms}


def _over_seeds(
    records: Sequence[Mapping[str, Any]], part: str, name: str, metric: str
) -> list[Number]:
    seeds = zip(*(record[part][name][metric] for record in records), strict=True)
    return [_mean(numbers) for numbers in seeds]


def _dpt(records: Sequence[Mapping[str, Any]]) -> Number:
    return _mean([record["dpt"][""]["raw_rmse"] for record in records])


def _mean(numbers: Sequence[Number]) -> dict[str, float | None]:
    found = {}
    for name in ("mean", "low", "high"):
        values = [number[name] for number in numbers if number[name] is not None]
        found[name] = sum(values) / len(values) if values else None
    return found


def layers_section(results: Mapping[str, Any]) -> str:
    """The page's section; empty where no layers were probed."""
    record = results["layers"]
    if record is None:
        return ""
    order = arm_order(results)
    panels = "".join(f"<li>{panel(task, record, order)}</li>" for task in record["headlines"])
    arms = {arm: arm_label(arm) for arm in record["arms"]}
    return (
        '<section aria-labelledby="layers"><h2 id="layers">Layers</h2>'
        f'{legend(arms, order)}<ul class="panels">{panels}</ul>'
        '<p class="note">A linear probe of each layer, by the frozen model: enc, what its vision'
        " encoder gives; proj, what enters its LLM; then each layer of the LLM. Triangles mark the"
        " taps of the DPT probe. Bars: 95 % interval, resampled by scene. Grey: controls, which see"
        " a cell's place only, the states of other scenes, or an MLLM of random weights.</p>"
        f"{as_html(layers_table(record))}</section>"
    )


def layers_table(record: Mapping[str, Any]) -> Table:
    """Each task at the LLM's layer that training scenes choose, beside its controls there."""
    rows = []
    for task, metric in record["headlines"].items():
        cells: dict[str, list[str]] = {}
        for found in record["arms"].values():
            place = record["layers"].index(found["best"][task])
            for words, told in _cells(record, found, metric, place).items():
                cells.setdefault(words, []).append(told)
        rows += [(words.format(TITLES[task]), *found) for words, found in cells.items()]
        if task == "depth":
            rows.append(("... of a DPT head on the taps", *map(_dpt_cell, record["arms"].values())))
    note = (
        "Of the LLM's layers the one that does best on training scenes by which it was not fitted."
        " In brackets the 95 % interval, resampled by scene. Lengths are in units of a scene's mean"
        " distance. Selectivity is by how much a probe does better than the best of its controls,"
        " scene by scene (Hewitt & Liang 2019)."
    )
    head = ("", *map(arm_label, record["arms"]))
    return Table(title="Linear probes and their controls", head=head, rows=tuple(rows), note=note)


def _cells(
    record: Mapping[str, Any], found: Mapping[str, Any], metric: str, place: int
) -> dict[str, str]:
    """What is said of one arm and task, by what the row is called."""

    def at(numbers: Sequence[Number]) -> Number:
        return numbers[place if len(numbers) > 1 else 0]

    curves, selectivity = found["curves"], found["selectivity"]
    cells = {
        "{}": cell(at(curves["probe"][metric])),
        "... at": layer_name(record["layers"][place]),
    }
    cells |= {
        f"... {CONTROLS[name]}": cell(at(of[metric]))
        for name, of in curves.items()
        if name != "probe"
    }
    gains = [at(of[metric]) for of in selectivity.values()]
    if known := [gain for gain in gains if gain["mean"] is not None]:
        cells["... selectivity"] = cell(min(known, key=lambda gain: gain["mean"]), sign="+")
    return cells


def _dpt_cell(found: Mapping[str, Any]) -> str:
    return cell(found["dpt"])
