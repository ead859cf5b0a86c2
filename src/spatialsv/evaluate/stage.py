"""The stage `evaluate`: a model's responses to the items of one benchmark, and their scores.

Keys and values of images that several items share are computed once. Generation is greedy. Each
line of responses.jsonl records all that the response depends on. An interrupted run resumes after
its last complete line; `spatialsv score` scores the file again, under any protocol, without the
model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import av
import PIL
import torch
import transformers

from spatialsv.benchmarks import rooms
from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol
from spatialsv.benchmarks.catalogue import (
    check_ids,
    find_benchmark,
    find_protocol,
    load_items,
    media_folder,
    name_benchmark,
)
from spatialsv.benchmarks.images import check_media, file_of
from spatialsv.benchmarks.overlap import format_overlap, overlap_of_run
from spatialsv.benchmarks.responses import FILE, Response, resume_responses, write_responses
from spatialsv.benchmarks.score import (
    format_scores,
    format_summary,
    read_no_image,
    respond,
    score_items,
)
from spatialsv.config import to_mapping
from spatialsv.evaluate.baselines import BASELINES, Baseline, ItemModel
from spatialsv.evaluate.config import EvaluateConfig
from spatialsv.evaluate.dialogue import split_dialogues
from spatialsv.evaluate.prompter import Prompter
from spatialsv.evaluate.training_scenes import training_scenes
from spatialsv.io.atomic import write_json
from spatialsv.io.digests import digest_bytes, digest_path
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.io.text import load_json
from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.mllm import load_mllm
from spatialsv.progress import progress

ATTENTION: Literal["sdpa"] = "sdpa"  # transformers' implementation
DTYPE = torch.float32  # of the weights


@dataclass(frozen=True, kw_only=True)
class _Task:
    """The items of one benchmark and how they are prompted."""

    name: str
    benchmark: Benchmark
    protocol: Protocol
    data: Path
    items: list[Item]
    skipped: int  # questions that cannot be scored
    config: EvaluateConfig  # complete: no default is left to the benchmark


class _Mllm(ItemModel):
    """An MLLM; it is loaded when the first response is generated."""

    def __init__(self, model: str | Path, family: str | None, task: _Task) -> None:
        self._task, self._family = task, family
        reference = resolve_model(model)
        self._checkpoint = reference.checkpoint
        self._blank = task.config.blank_images or reference.uses_blank_images
        self._weights = (
            digest_path(Path(self._checkpoint))
            if Path(self._checkpoint).is_dir()
            else self._checkpoint
        )
        self._device = "cuda" if torch.cuda.is_available() else "cpu"

    @property
    def context(self) -> tuple[str, ...]:
        without = {"batch_size", "images", "linked_folders", "resamples", "seed"}
        settings = {k: v for k, v in to_mapping(self._task.config).items() if k not in without}
        return (self._weights, json.dumps(settings | {"blank_images": self._blank}))

    def respond(self, items: Sequence[Item], done: Mapping[str, Response]) -> Iterator[Response]:
        mllm, adapter = load_mllm(self._checkpoint, DTYPE, attn=ATTENTION, family=self._family)
        mllm.to(self._device)  # type: ignore[arg-type]  # transformers wraps it without its signature
        task = self._task
        prompter = Prompter(
            mllm, adapter, task.benchmark, task.protocol, task.data, task.config, self._blank
        )
        yield from prompter.respond(items, done)

    def describe(self) -> dict[str, Any]:
        return {
            "weights": self._weights,
            "blank_images": self._blank,
            "versions": _versions(),
            "dtype": str(DTYPE),
            "attention": ATTENTION,
            "device": self._device,
        }


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
    task = _load_task(benchmark, scenes, data, config)
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
    responses, generated = _respond(answerer, task, out.with_name(FILE))
    about |= answerer.describe()
    if "device" in about and not generated and out.is_file():  # all responses are of earlier runs
        about["device"] = load_json(out)["about"]["device"]
    return _finish(out, task, responses, about, reference)


def _load_task(
    name: str, scenes: Sequence[str | Path], data: Path | None, config: EvaluateConfig
) -> _Task:
    benchmark, skipped = find_benchmark(name), 0
    protocol_name, protocol = find_protocol(name, config.protocol)
    if scenes and name == rooms.NAME:
        data = Path(os.path.commonpath([Path(path).parent for path in scenes]))
        items, skipped = rooms.read_shards(scenes, data)
        if skipped and not items:
            raise ValueError(
                f"{scenes[0]}: of {skipped} questions, none is a choice or a number, and open"
                " conversations cannot be scored. Give other test scenes, or set measure.evaluate"
                " to []."
            )
        check_ids(items, str(data))
    elif data is not None:
        items = load_items(name, data)
        data = media_folder(data, config.images)
    else:
        raise ValueError(f"{name}: give --data, the folder of the benchmark's files.")
    config = replace(
        config,
        protocol=protocol_name,
        max_new_tokens=config.max_new_tokens or benchmark.response_tokens,
        batch_size=config.batch_size or benchmark.batch_size,
    )
    return _Task(
        name=name,
        benchmark=benchmark,
        protocol=protocol,
        data=data,
        items=items,
        skipped=skipped,
        config=config,
    )


def _load_model(
    model: str | Path, family: str | None, task: _Task, train_scenes: Sequence[str | Path]
) -> ItemModel:
    if str(model) not in BASELINES:
        _check_media(task.items, task.data, task.config.linked_folders)
        return _Mllm(model, family, task)
    train = task.items  # of a third-party benchmark, as its published chance levels
    if task.name == rooms.NAME:
        if not train_scenes:
            raise ValueError(f"Baseline {str(model)!r}: give --train-scenes to answer from.")
        train, _ = rooms.read_shards(train_scenes, task.data)
    return BASELINES[str(model)].fit(train, task.protocol)


def _check_media(items: Sequence[Item], data: Path, linked: Collection[str]) -> None:
    """Raise ValueError unless all questions have images or videos that can be read."""
    if text_only := [turns[0].id for turns in split_dialogues(items) if not turns[0].media]:
        raise ValueError(f"{len(text_only)} questions have no image, such as {text_only[0]!r}.")
    check_media(items, data, linked)


def _respond(model: ItemModel, task: _Task, path: Path) -> tuple[list[Response], int]:
    """Complete the responses in `path`.

    Returns:
        All responses in the order of the items, and how many of them are new.
    """
    keys = _keys(task, model.context)
    items = {item.id: item for item in task.items}
    done = {}
    for old in [] if isinstance(model, Baseline) else resume_responses(path):
        if old.id in keys and old.key == keys[old.id]:  # score again: the code may have changed
            done[old.id] = respond(items[old.id], task.protocol, old.response, old.inputs, old.key)
    write_responses(path, done.values())
    left = len(items) - len(done)
    if left:
        with path.open("a", encoding="utf-8") as file:
            for response in progress(model.respond(task.items, done), task.name, total=left):
                done[response.id] = replace(response, key=keys[response.id])
                file.write(done[response.id].to_line())
                file.flush()
    return [done[item.id] for item in task.items], left


def _keys(task: _Task, context: tuple[str, ...]) -> dict[str, str]:
    """Return by id a digest of all that a response depends on: `context` and all turns up to it."""
    keys = {}
    for turns in split_dialogues(task.items):
        previous = ""
        for item in turns:
            files = [f"{name} {_version(task.data, item, name)}" for name in item.media]
            parts = [task.protocol.prompt(item), *files, *context]
            if len(turns) > 1:
                parts += [str(item.more.get("system", "")), previous]
            previous = keys[item.id] = digest_bytes(*(part.encode() for part in parts))
    return keys


def _version(data: Path, item: Item, name: str) -> str | int:
    """Return the digest of the store of an image, or the size of its file in bytes."""
    path = file_of(data, name)
    return item.digest or (path.stat().st_size if path.is_file() else "missing")


def _finish(
    path: Path,
    task: _Task,
    responses: Sequence[Response],
    about: dict[str, Any],
    no_image: Mapping[str, str] | None,
) -> Manifest:
    """Write the files of a run; print the scores."""
    files = [path.with_name(FILE), path.with_name("scores.json")]
    write_responses(files[0], responses)
    protocol = str(task.config.protocol)
    scoring = score_items(task.name, protocol, task.benchmark, task.items, responses, no_image)
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


def _versions() -> dict[str, str]:
    """Return the versions of all packages that a response depends on, besides this one."""
    return {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "pillow": PIL.__version__,
        "av": av.__version__,
    }
