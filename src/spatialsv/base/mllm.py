"""The base MLLM from random weights: its encoder on patches first, then the whole on lessons."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer

from spatialsv.base.architecture import (
    ArchitectureConfig,
    build_image_processor,
    build_model,
    build_tokenizer,
    save_mllm,
)
from spatialsv.base.corpus import SHARD, describe_corpus, load_corpus, patchify, render_corpus
from spatialsv.base.encode import LessonEncoder
from spatialsv.base.lessons import LessonConfig, RoomText, lesson
from spatialsv.base.loop import LoopConfig, batch_rows, run_loop
from spatialsv.base.vision import PatchReader, patch_classes
from spatialsv.samples.chat import IGNORED
from spatialsv.scenes.rooms.layout import RoomsConfig, make_room
from spatialsv.scenes.rooms.questions import ask
from spatialsv.scenes.rooms.room import room_seed
from spatialsv.scenes.scene import Scenes


@dataclass(frozen=True, kw_only=True)
class MllmConfig:
    """The recipe of the shipped base MLLM."""

    rooms: RoomsConfig = field(default_factory=RoomsConfig)
    shards: int = 24  # of 512 rooms
    architecture: ArchitectureConfig = field(default_factory=ArchitectureConfig)
    lessons: LessonConfig = field(default_factory=LessonConfig)
    vision: LoopConfig = field(default_factory=lambda: LoopConfig(steps=1500, lr=2e-3))
    language: LoopConfig = field(default_factory=lambda: LoopConfig(steps=2800, lr=1e-3))
    seed: int = 0


def train_mllm(config: MllmConfig, work: Path, out: Path) -> dict[str, float]:
    """Train and save the base MLLM; a second call goes on where the first was stopped.

    Args:
        work: rooms and checkpoints are kept here.
        out: the folder of the finished checkpoint.

    Returns: seconds spent on each rung.
    """
    stores = render_corpus(work / "scenes" / "base", "base", config.shards, config.rooms)
    texts = describe_corpus(stores, config.rooms)
    scenes = load_corpus(stores, ["image", "instance"])
    tokenizer = _tokenizer(work / "tokenizer", texts, scenes, config)
    processor = build_image_processor(config.architecture)
    model = build_model(config.architecture, config.seed)
    seconds = {"vision": _train_vision(model, scenes, processor, config, work / "vision")}
    seconds["language"] = _train_language(
        model, scenes.image, texts, tokenizer, processor, config, work / "language"
    )
    save_mllm(model, tokenizer, processor, out)
    return seconds


def _tokenizer(folder: Path, texts: list[RoomText], scenes: Scenes, config: MllmConfig):
    """The tokenizer; kept in `folder`, because checkpoints mean nothing under another one."""
    if not (folder / "tokenizer.json").exists():
        words = [*_lesson_words(texts[: 4 * SHARD]), *_question_words(scenes, config.rooms)]
        build_tokenizer(words, config.architecture).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _lesson_words(texts: list[RoomText]) -> list[str]:
    """For the tokenizer: one lesson of each kind a room."""
    rng = np.random.default_rng(0)
    chats = [lesson(text, done, LessonConfig(), rng) for text in texts for done in (0.0, 1.0)]
    return [part for chat in chats for turn in chat for part in turn] + ["user", "assistant"]


def _question_words(scenes: Scenes, config: RoomsConfig) -> list[str]:
    """For the tokenizer: questions of all tasks, so that fine-tuning meets whole words."""
    asked = [
        candidate
        for name, instance in zip(scenes.ids[:128], scenes.instance[:128], strict=True)
        for candidate in ask(make_room(room_seed(name), config), instance)
    ]
    return [text for c in asked for text in (c.stem, *c.options)]


def _train_vision(model, scenes: Scenes, processor, config: MllmConfig, folder: Path) -> float:
    """Rung zero, on the first shards: `vision.py`."""
    scenes = scenes.select(slice(0, 8 * SHARD))
    rooms = [make_room(room_seed(name), config.rooms) for name in scenes.ids]
    patch = config.architecture.patch_size
    classes = torch.from_numpy(patch_classes(rooms, scenes.instance, patch))
    reader = PatchReader(config.architecture.width)
    both = torch.nn.ModuleDict({"visual": model.model.visual, "reader": reader})

    def step_loss(step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        rows = batch_rows(step, len(rooms), config.vision.batch, config.vision.seed)
        pixels, grid = patchify(np.concatenate(scenes.image[rows]), processor)
        tokens = model.model.visual(pixels, grid_thw=grid).pooler_output
        return {"total": reader.loss(tokens, classes[rows].reshape(-1, 2))}

    return run_loop(both, step_loss, config.vision, folder)


def _train_language(
    model, images, texts: list[RoomText], tokenizer, processor, config: MllmConfig, folder: Path
) -> float:
    """All other rungs: next-token cross-entropy on the answers of `lessons.py`."""
    loop = config.language
    tokens = (config.architecture.image_size // config.architecture.patch_size // 2) ** 2
    encoder = LessonEncoder(tokenizer, tokens)

    def step_loss(step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        rows = batch_rows(step, len(texts), loop.batch, loop.seed)
        done = step / loop.steps
        chats = [lesson(texts[row], done, config.lessons, rng) for row in rows]
        batch = encoder.batch(chats)
        pixels, grid = patchify(np.concatenate(images[rows]), processor)
        labels = batch.pop("labels")
        logits = model(**batch, pixel_values=pixels, image_grid_thw=grid, use_cache=False).logits
        scored = labels[:, 1:] != IGNORED
        guesses, truth = logits[:, :-1][scored].float(), labels[:, 1:][scored]
        right = (guesses.argmax(-1) == truth).float().mean()
        return {"total": torch.nn.functional.cross_entropy(guesses, truth), "right": right}

    return run_loop(model, step_loss, loop, folder)
