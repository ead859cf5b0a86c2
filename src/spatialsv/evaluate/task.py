"""The items of one benchmark, and the file of a model's responses to them."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spatialsv.benchmarks import rooms
from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol
from spatialsv.benchmarks.catalogue import (
    check_ids,
    find_benchmark,
    find_protocol,
    load_items,
    media_folder,
)
from spatialsv.benchmarks.images import check_media, file_of
from spatialsv.benchmarks.responses import Response, resume_responses, write_responses
from spatialsv.benchmarks.score import respond
from spatialsv.evaluate.baselines import Baseline, ItemModel
from spatialsv.evaluate.config import EvaluateConfig
from spatialsv.evaluate.dialogue import split_dialogues
from spatialsv.evaluate.shown import alter_items
from spatialsv.io.digests import digest_bytes
from spatialsv.progress import progress


@dataclass(frozen=True, kw_only=True)
class EvaluationTask:
    """The items of one benchmark and how they are prompted."""

    name: str
    benchmark: Benchmark
    protocol: Protocol
    data: Path
    items: list[Item]
    skipped: int  # questions that cannot be scored
    config: EvaluateConfig  # complete: no default is left to the benchmark


def load_task(
    name: str, scenes: Sequence[str | Path], data: Path | None, config: EvaluateConfig
) -> EvaluationTask:
    """Load the items of a benchmark, as far as `config.shown` can be applied to them.

    Args:
        name: the benchmark's.
        scenes: manifests of test scenes, for the benchmark `rooms`.
        data: the folder of the benchmark's files; not needed with `scenes`.
        config: the settings.

    Returns:
        The task, with complete settings.

    Raises:
        ValueError: as for `run`.
    """
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
    altered = alter_items(items, config.shown)  # a dialogue keeps all its turns
    return EvaluationTask(
        name=name,
        benchmark=benchmark,
        protocol=protocol,
        data=data,
        items=[altered.get(i.id, i) for i in items if i.id in altered or "turn" in i.more],
        skipped=skipped,
        config=config,
    )


def check_images(items: Sequence[Item], data: Path, linked: Collection[str]) -> None:
    """Check that all questions have images or videos that can be read.

    Args:
        items: the questions.
        data: the folder of the benchmark's files.
        linked: folders outside of it that links may lead to.

    Raises:
        ValueError: a question has none, a file is missing, or a link leads elsewhere.
    """
    if text_only := [turns[0].id for turns in split_dialogues(items) if not turns[0].media]:
        raise ValueError(f"{len(text_only)} questions have no image, such as {text_only[0]!r}.")
    check_media(items, data, linked)


def complete_responses(
    model: ItemModel, task: EvaluationTask, path: Path
) -> tuple[list[Response], int]:
    """Generate the responses that `path` lacks and append them to it.

    Args:
        model: the model for this task.
        task: the items and how they are prompted.
        path: responses.jsonl; those of other settings are removed.

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


def _keys(task: EvaluationTask, context: tuple[str, ...]) -> dict[str, str]:
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
