"""`spatialsv audit`: does a model look at its images? Its score without them, and altered ones.

Each condition alters what is shown; see `evaluate.shown`. Two references see no image: answers from
the text only, and random ones. Each is compared with the model's own responses to the same
questions, paired by question and resampled by scene.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.catalogue import name_benchmark
from spatialsv.benchmarks.responses import FILE, Response
from spatialsv.benchmarks.score import respond
from spatialsv.evaluate.audit_figure import draw_audit
from spatialsv.evaluate.audit_result import (
    CHANCE,
    MEANING,
    TEXT,
    Audit,
    AuditRow,
    ItemScores,
    aggregate,
    compare_conditions,
    summarise,
)
from spatialsv.evaluate.baselines import BASELINES, RandomBaseline
from spatialsv.evaluate.config import EvaluateConfig, Shown
from spatialsv.evaluate.mllm import Mllm
from spatialsv.evaluate.shown import alter_items
from spatialsv.evaluate.task import EvaluationTask, check_images, complete_responses, load_task
from spatialsv.evaluate.text_prior import answer_from_text
from spatialsv.io.atomic import write_json, write_text
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest

CONDITIONS: tuple[Shown, ...] = (
    *("none", "grey", "black", "other", "reversed", "first", "mirrored"),
)
SEVERAL = ("reversed", "first")  # conditions that change only items with several images


def audit(
    benchmark: str | None,
    model: str | Path,
    config: EvaluateConfig,
    out: str | Path,
    *,
    data: Path | None = None,
    scenes: Sequence[str | Path] = (),
    conditions: tuple[Shown, ...] = CONDITIONS,
    runs: Sequence[Path] = (),
    family: str | None = None,
) -> Audit:
    """Measure what a model's score on a benchmark owes to the images.

    Responses of each condition are kept in a folder of its name, so that an interrupted audit
    resumes. The table is written as audit.csv and audit.json, the figure as audit.png.

    Args:
        benchmark: the benchmark's name; None: `questions` if `data` is a file, else `rooms`.
        model: as for `spatialsv evaluate`, but no baseline.
        config: the settings; `shown` is that of each condition.
        out: the manifest, or its folder.
        data: its folder, or a file of your own questions; not needed with `scenes`.
        scenes: manifests of test scenes, for the benchmark `rooms`.
        conditions: what to measure besides the references.
        runs: folders of earlier runs of `spatialsv evaluate`; their responses are used where model,
            settings, images and prompt are the same.
        family: the name of a third-party adapter.

    Returns:
        The audit.

    Raises:
        ValueError: a baseline, or as for `spatialsv evaluate`.
    """
    if str(model) in BASELINES:
        raise ValueError(f"{model}: a baseline sees no image. Give a model.")
    if config.shown != "all" or config.blank_images or "all" in conditions:
        raise ValueError("An audit itself varies what is shown. Leave out shown and blank_images.")
    path = Path(out) if Path(out).suffix == ".json" else Path(out) / "manifest.json"
    task = load_task(name_benchmark(benchmark, data), scenes, data, config)
    check_images(task.items, task.data, config.linked_folders)
    _copy_responses(runs, path.parent)
    mllm = Mllm(model, family, task)
    responses, _ = complete_responses(mllm, task, _responses_file(path.parent, "all"))
    own = {response.id: response.score for response in responses}
    altered = _score_conditions(conditions, mllm, task, responses, path.parent)
    altered |= _references(task)
    omitted = [name for name in (*conditions, TEXT) if not altered.get(name)]
    result = Audit(
        benchmark=task.name,
        protocol=str(task.config.protocol),
        model=str(model),
        questions=len(task.items),
        score=aggregate(task.items, task.protocol, own).overall,
        rows=tuple(compare_conditions(task.items, task.protocol, own, altered)),
        omitted=dict.fromkeys(omitted, "applies to no question"),
    )
    _write(path, result, task, ["all", *(name for name in conditions if name in altered)])
    return result


def _responses_file(folder: Path, shown: str) -> Path:
    (folder / shown).mkdir(parents=True, exist_ok=True)
    return folder / shown / FILE


def _copy_responses(runs: Sequence[Path], folder: Path) -> None:
    """Copy the responses of earlier runs to where those of their condition belong."""
    for run in runs:
        manifest = read_manifest(run if run.suffix == ".json" else run / "manifest.json")
        about = manifest.about
        shown = about.get("shown") or ("grey" if about.get("blank_images") else "all")
        target = _responses_file(folder, shown)
        if not target.is_file():
            write_text(target, manifest.resolve(FILE).read_text())


def _score_conditions(
    conditions: Sequence[Shown],
    mllm: Mllm,
    task: EvaluationTask,
    responses: Sequence[Response],
    folder: Path,
) -> dict[str, ItemScores]:
    """Return the scores under each condition of the items that it applies to."""
    images = {one.id: len(one.inputs.get("sizes", ())) for one in responses}
    scores: dict[str, ItemScores] = {}
    for shown in conditions:
        items, ids = _items_for(shown, task.items, images)
        if ids:
            other = replace(task, items=items, config=replace(task.config, shown=shown))
            file = _responses_file(folder, shown)
            found, _ = complete_responses(mllm.for_task(other), other, file)
            scores[shown] = {one.id: one.score for one in found if one.id in ids}
    return scores


def _items_for(
    shown: Shown, items: Sequence[Item], images: Mapping[str, int]
) -> tuple[list[Item], set[str]]:
    """Return the items to answer under a condition, and the ids of those that it alters.

    Of a dialogue all turns are answered.
    """
    altered = alter_items(items, shown)
    if shown in SEVERAL:
        altered = {name: item for name, item in altered.items() if images[name] > 1}
    needed = [altered.get(i.id, i) for i in items if i.id in altered or "turn" in i.more]
    return needed, set(altered)


def _references(task: EvaluationTask) -> dict[str, ItemScores]:
    """Score answers from the text only, and expected scores of random answers."""
    by_id = {item.id: item for item in task.items}
    prior = {
        name: respond(by_id[name], task.protocol, text).score
        for name, text in answer_from_text(task.items).items()
    }
    random = RandomBaseline.fit(task.items, task.protocol)
    chance = {item.id: random.answer(item)[1] for item in task.items}
    known = {name: value for name, value in chance.items() if value is None or value == value}
    return {TEXT: prior, CHANCE: known}


def _write(path: Path, result: Audit, task: EvaluationTask, shown: Sequence[str]) -> None:
    table = io.StringIO()
    rows = [asdict(row) for row in result.rows]
    writer = csv.DictWriter(table, [*AuditRow.__dataclass_fields__], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path.with_name("audit.csv"), table.getvalue())
    record = asdict(result) | {"summary": summarise(result)}
    write_json(path.with_name("audit.json"), record)
    draw_audit(path.with_name("audit.png"), result.overall, result.score, MEANING)
    files = ["audit.csv", "audit.json", "audit.png", *(f"{name}/{FILE}" for name in shown)]
    manifest = Manifest(
        stage="audit",
        payload={name: digest_path(path.parent / name) for name in files},
        counts={"questions": result.questions},
        config=asdict(task.config),
        about={"model": result.model, "benchmark": result.benchmark, "protocol": result.protocol},
    )
    write_manifest(path, manifest)
