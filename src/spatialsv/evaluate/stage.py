"""The stage `evaluate`: a model's responses to the items of one benchmark, and their scores.

Keys and values of images that several items share are computed once. Generation is greedy. Each
line of responses.jsonl records all that the response depends on. An interrupted run resumes after
its last complete line; `spatialsv score` scores the file again, under any protocol, without the
model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from spatialsv.benchmarks import rooms
from spatialsv.benchmarks.catalogue import name_benchmark
from spatialsv.benchmarks.overlap import format_overlap, overlap_of_run
from spatialsv.benchmarks.responses import FILE, Response, write_responses
from spatialsv.benchmarks.score import format_scores, format_summary, read_no_image, score_items
from spatialsv.benchmarks.settings import digest_items, settings_of
from spatialsv.evaluate.baselines import BASELINES, ItemModel
from spatialsv.evaluate.config import EvaluateConfig
from spatialsv.evaluate.mllm import Mllm
from spatialsv.evaluate.task import EvaluationTask, check_images, complete_responses, load_task
from spatialsv.evaluate.training_scenes import training_scenes
from spatialsv.io.atomic import write_json
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.io.text import load_json


def run(
    model: str | Path,
    scenes: Sequence[str | Path],
    config: EvaluateConfig,
    out: str | Path,
    *,
    benchmark: str | None = None,
    data: Path | None = None,
    train_scenes: Sequence[str | Path] = (),
    family: str | None = None,
    no_image: Path | None = None,
) -> Manifest:
    """Evaluate `model` on a benchmark: write responses.jsonl, scores.json and the manifest.

    Responses that an interrupted run left are kept, unless the model, the settings, the images or
    the prompt have changed since. Rooms also get metrics.json, flat numbers for `dvc metrics`.

    Args:
        model: a train manifest, a job's or a checkpoint's folder, a hub id, "base" (the shipped
            MLLM), or a baseline, "random" or "frequency".
        scenes: manifests of the test scenes, for the benchmark `rooms`.
        config: the settings.
        out: the manifest, or its folder; the other files are written to the same folder.
        benchmark: the benchmark's name; None: `questions` if `data` is a file, else `rooms`.
        data: the folder of its files, or a file of your own questions; not needed with `scenes`.
        train_scenes: manifests of the training scenes. Baselines answer from their questions; what
            they share with a third-party benchmark is printed and recorded. None: those that
            `training_scenes` finds.
        family: the name of a third-party adapter, for `load_mllm`.
        no_image: responses of the same model to only the text, scored as a reference.

    Returns:
        The manifest.

    Raises:
        ValueError: an unknown benchmark or protocol, files of another layout, missing images,
            questions that cannot be scored, or a baseline without training scenes.
    """
    out = Path(out)
    out = out if out.suffix == ".json" else out / "manifest.json"
    benchmark = name_benchmark(benchmark, data)
    task = load_task(benchmark, scenes, data, config)
    reference = None if no_image is None else read_no_image(no_image, task.items)
    answerer = _load_model(model, family, task, train_scenes)
    about: dict[str, Any] = {"model": str(model), "benchmark": benchmark}
    about["protocol"] = task.config.protocol
    if task.skipped:
        about["unscored"] = task.skipped
    if benchmark != rooms.NAME and (trained := train_scenes or training_scenes(model)):
        shared = overlap_of_run([Path(path) for path in trained], benchmark, task.items, task.data)
        about["overlap"] = shared.summary()
        print(format_overlap(shared))
    out.parent.mkdir(parents=True, exist_ok=True)
    responses, generated = complete_responses(answerer, task, out.with_name(FILE))
    about |= answerer.describe()
    if "device" in about and not generated and out.is_file():  # all responses are of earlier runs
        about["device"] = load_json(out)["about"]["device"]
    return _finish(out, task, responses, about, reference)


def _load_model(
    model: str | Path, family: str | None, task: EvaluationTask, train_scenes: Sequence[str | Path]
) -> ItemModel:
    if str(model) not in BASELINES:
        check_images(task.items, task.data, task.config.linked_folders)
        return Mllm(model, family, task)
    train = task.items  # of a third-party benchmark, as its published chance levels
    if task.name == rooms.NAME:
        if not train_scenes:
            raise ValueError(f"Baseline {str(model)!r}: give --train-scenes to answer from.")
        train, _ = rooms.read_shards(train_scenes, task.data)
    return BASELINES[str(model)].fit(train, task.protocol)


def _finish(
    path: Path,
    task: EvaluationTask,
    responses: Sequence[Response],
    about: dict[str, Any],
    no_image: Mapping[str, str] | None,
) -> Manifest:
    """Write the files of a run; print the scores."""
    files = [path.with_name(FILE), path.with_name("scores.json")]
    write_responses(files[0], responses)
    protocol = str(task.config.protocol)
    scoring = score_items(task.name, protocol, task.benchmark, task.items, responses, no_image)
    settings = settings_of(responses, asdict(task.config), about)
    scoring = replace(scoring, settings=settings | {"revision": digest_items(task.items)})
    write_json(files[1], scoring.to_json())
    print(format_scores(scoring))
    if task.name == rooms.NAME:
        files.append(path.with_name("metrics.json"))
        write_json(files[2], rooms.metrics(responses, task.config.resamples, task.config.seed))
    manifest = Manifest(
        stage="evaluate",
        payload={file.name: digest_path(file) for file in files},
        counts={"questions": len(responses), "scenes": len({item.scene for item in task.items})},
        config=asdict(task.config),
        about=about,
        path=path,
    )
    write_manifest(path, manifest)
    names = ", ".join(manifest.payload)
    print(f"evaluate: {format_summary(scoring, task.skipped)}; {names} in {path.parent}")
    return manifest
