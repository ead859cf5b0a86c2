"""The stage: a model's replies to all questions about the test scenes, and their scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path

import torch
import transformers

from spatialsv.evaluate.baselines import Baseline, FrequencyBaseline, RandomBaseline
from spatialsv.evaluate.generate import Prompt, generate
from spatialsv.evaluate.replies import (
    Reply,
    dumps,
    expected,
    judged,
    reply_key,
    resume_replies,
    write_replies,
)
from spatialsv.io.atomic import write_json
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.mllm import load_mllm
from spatialsv.progress import progress
from spatialsv.samples.chat import Chat
from spatialsv.samples.views import SceneViews
from spatialsv.scenes.question import Question, read_questions
from spatialsv.scenes.scene_list import SceneList
from spatialsv.scenes.store import load_groups
from spatialsv.stats.summary import summarise

BASELINES = {"random": RandomBaseline, "frequency": FrequencyBaseline}


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """How questions are asked and scores are summarised."""

    max_new_tokens: int = 16  # VSI-Bench's; a letter or a number needs fewer
    batch_size: int = 64  # questions
    resamples: int = 2000  # of the bootstrap
    seed: int = 0  # of the bootstrap; generation is greedy


@dataclass(frozen=True)
class _Shard:
    """One scenes manifest and those of its questions that can be scored."""

    manifest: Manifest
    questions: list[Question]
    unscored: int  # conversations in free words

    @property
    def images_digest(self) -> str:
        return self.manifest.payload[self.manifest.find(".zarr").name]


def run(
    model: str | Path,
    scenes: Sequence[str | Path],
    config: EvaluateConfig,
    out: str | Path,
    *,
    blank_images: bool | None = None,
    train_scenes: Sequence[str | Path] = (),
    family: str | None = None,
) -> Manifest:
    """Ask `model` every question of `scenes`; write replies.jsonl, metrics.json, and `out`.

    What an interrupted run already asked is not asked again, unless the model, the settings, the
    images or the question have changed since.

    Args:
        model: a train manifest, a job's or a checkpoint's folder, a hub id, "base" for the shipped
            MLLM, or a baseline: "random" or "frequency".
        scenes: manifests of the test scenes.
        out: where the manifest goes; payload beside it.
        blank_images: show plain grey instead of the scenes. None: as the model was trained.
        train_scenes: manifests of the training scenes; baselines alone need them.
        family: the name of an adapter from outside, for `load_mllm`.

    Raises:
        ValueError: two questions with one id, none that can be scored, or a baseline without
            training scenes.
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    shards = _read_shards(scenes)
    unscored = sum(shard.unscored for shard in shards)
    if unscored and not any(shard.questions for shard in shards):
        raise ValueError(
            f"{scenes[0]}: of {unscored} questions, none is a choice or a number, and free words"
            " cannot be scored; give test scenes that ask others, or set measure.evaluate to []"
        )
    if str(model) in BASELINES:
        replies = _ask_baseline(str(model), shards, _read_shards(train_scenes))
        about: dict = {"model": str(model)}
    else:
        ref = resolve_model(model)
        blank = ref.uses_blank_images if blank_images is None else blank_images
        path = out.parent / "replies.jsonl"
        replies = _ask_model(ref.checkpoint, shards, config, blank, path, family)
        about = {
            "model": str(model),
            "blank_images": blank,
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        }
    if unscored:
        about["unscored"] = unscored
    return _finish(out, replies, config, about)


def metrics(replies: Sequence[Reply], config: EvaluateConfig) -> dict[str, float | int]:
    """Flat numbers: a task's or group's score under its name, its n, and its 95 % interval.

    `rotation`, `rotation_n`, `rotation_low`, `rotation_high`; and `unreadable`, the share of
    replies from which no answer could be read.
    """
    found: dict[str, float | int] = {}
    summaries = summarise([reply.scored() for reply in replies], config.resamples, config.seed)
    for name, summary in summaries.items():
        found |= {name: summary.mean, f"{name}_n": summary.n}
        if summary.interval is not None:
            found |= {f"{name}_low": summary.interval.low, f"{name}_high": summary.interval.high}
    found["unreadable"] = sum(reply.extracted is None for reply in replies) / len(replies)
    return found


def _read_shards(paths: Sequence[str | Path]) -> list[_Shard]:
    shards, seen = [], set()
    for path in paths:
        manifest = read_manifest(path)
        questions = read_questions(manifest.find(".questions.jsonl"))
        for question in questions:
            if question.id in seen:
                raise ValueError(f"{path}: question {question.id!r} was already asked elsewhere")
            seen.add(question.id)
        scored = [question for question in questions if question.kind != "text"]
        shards.append(_Shard(manifest, scored, len(questions) - len(scored)))
    return shards


def weights_of(checkpoint: str) -> str:
    """What a reply depends on: the digest of a checkpoint's folder, or a hub id."""
    return digest_path(Path(checkpoint)) if Path(checkpoint).is_dir() else checkpoint


def _ask_baseline(name: str, shards: list[_Shard], train: list[_Shard]) -> list[Reply]:
    if not train:
        raise ValueError(f"baseline {name!r}: give --train-scenes, whose answers it goes by")
    seen = [question for shard in train for question in shard.questions]
    baseline: Baseline = BASELINES[name].fit(seen)
    replies = []
    for question in (question for shard in shards for question in shard.questions):
        words, value = baseline.answer(question)
        replies.append(expected(question, words, reply_key(question, name), value))
    return replies


def _ask_model(
    checkpoint: str,
    shards: list[_Shard],
    config: EvaluateConfig,
    blank: bool,
    path: Path,
    family: str | None,
) -> list[Reply]:
    """All replies in the questions' order, those already in `path` included; `path` grows."""
    settings = (weights_of(checkpoint), f"{config.max_new_tokens} {blank}")
    keys = {
        question.id: reply_key(question, shard.images_digest, *settings)
        for shard in shards
        for question in shard.questions
    }
    done = {reply.id: reply for reply in resume_replies(path) if keys.get(reply.id) == reply.key}
    write_replies(path, done.values())
    left = {question for question in keys if question not in done}
    if left:
        ask = _asker(checkpoint, config, blank, family)
        bar = progress(range(len(left)), "evaluate")
        with path.open("a") as log, bar:
            for shard in shards:
                waiting = [question for question in shard.questions if question.id in left]
                for question, text in ask(shard, waiting):
                    done[question.id] = judged(question, text, keys[question.id])
                    log.write(dumps(done[question.id]))
                    log.flush()
                    bar.update()
    return [done[question] for question in keys]


def _asker(
    checkpoint: str, config: EvaluateConfig, blank: bool, family: str | None
) -> Callable[[_Shard, list[Question]], Iterator[tuple[Question, str]]]:
    """A function that asks a shard's questions."""
    model, adapter = load_mllm(checkpoint, family=family)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    chat = Chat(adapter)

    def ask(shard: _Shard, questions: list[Question]) -> Iterator[tuple[Question, str]]:
        if not questions:
            return
        scenes = SceneList(load_groups(shard.manifest.find(".zarr"), ["image"]))
        shown = SceneViews(scenes, adapter, blank=blank, keep_gib=inf)
        prompts = _prompts(questions, [one.ids[0] for one in scenes], shown, chat)
        batches = generate(model, adapter, prompts, config.max_new_tokens, config.batch_size)
        for index, text in batches:
            yield questions[index], text

    return ask


def _prompts(
    questions: list[Question], scenes: list[str], shown: SceneViews, chat: Chat
) -> list[Prompt]:
    rows = {name: row for row, name in enumerate(scenes)}
    prompts = []
    for question in questions:
        views = shown(rows[question.scene], question.views)  # kept: the same views, the same object
        prompts.append(Prompt(tokens=chat.prompt(question.text, views).input_ids, views=views))
    return prompts


def _finish(out: Path, replies: list[Reply], config: EvaluateConfig, about: dict) -> Manifest:
    names = ("replies.jsonl", "metrics.json")
    paths = [out.parent / name for name in names]
    write_replies(paths[0], replies)
    write_json(paths[1], metrics(replies, config))
    manifest = Manifest(
        stage="evaluate",
        payload={name: digest_path(path) for name, path in zip(names, paths, strict=True)},
        counts={"questions": len(replies), "scenes": len({reply.scene for reply in replies})},
        config=asdict(config),
        about=about,
        path=out,
    )
    write_manifest(out, manifest)
    return manifest
