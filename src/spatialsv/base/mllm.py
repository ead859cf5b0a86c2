"""The base MLLM from random weights: encoder on cells, LLM on drills, LLM and merger on lessons."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

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
from spatialsv.base.corpus import (
    SHARD,
    describe_corpus,
    load_corpus,
    patchify,
    render_corpus,
    rooms_of,
)
from spatialsv.base.encode import LessonEncoder
from spatialsv.base.lessons import LessonConfig, RoomText, drills, lesson
from spatialsv.base.loop import LoopConfig, accelerator, batch_rows, run_loop
from spatialsv.base.vision import CellReader, cell_classes, settle
from spatialsv.config import to_mapping
from spatialsv.model.mllm import use_linear_patch_embedding
from spatialsv.model.packed import enable_packed_attention
from spatialsv.progress import progress
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.questions import generate_questions
from spatialsv.samples.chat import IGNORED
from spatialsv.scenes.scene import Scenes


@dataclass(frozen=True, kw_only=True)
class MllmConfig:
    """The recipe of the shipped base MLLM."""

    rooms: RoomsConfig = field(default_factory=RoomsConfig)
    shards: int = 48  # of 512 rooms
    architecture: ArchitectureConfig = field(default_factory=ArchitectureConfig)
    lessons: LessonConfig = field(default_factory=LessonConfig)
    cell: int = 4  # pixels; the encoder tells what covers each cell
    vision: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=1200, lr=1e-3, lr_muon=3e-3)
    )
    drills: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=300, lr=1e-3, lr_muon=3e-3, batch=32)
    )
    language: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=4600, lr=1e-3, lr_muon=3e-3)
    )
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
    model = build_model(config.architecture, config.seed).to(accelerator())
    enable_packed_attention(model)
    use_linear_patch_embedding(model)
    side = config.architecture.image_size // config.architecture.patch_size // 2
    blind, seeing = (LessonEncoder(tokenizer, views, side) for views in (0, config.rooms.views))
    seconds = {
        "vision": _train_vision(model, scenes, processor, config, work / "vision"),
        "drills": _train_drills(model, texts, blind, config, work / "drills"),
    }
    pixels, grid = patchify(np.concatenate(scenes.image[:32]), processor)
    tokens = model.model.visual(pixels.to(model.device), grid_thw=grid).pooler_output
    words = model.get_input_embeddings().weight.norm(dim=-1).mean().item()
    settle(model.model.visual.merger, tokens, words)
    model.model.visual.blocks.requires_grad_(False)
    model.model.visual.patch_embed.requires_grad_(False)
    images = scenes.image
    del scenes  # depth and instances, two gigabytes
    seconds["language"] = _train_language(
        model, images, texts, seeing, processor, config, work / "language"
    )
    save_mllm(model.to("cpu"), tokenizer, processor, out)
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
    lessons = [lesson(text, done, LessonConfig(), rng) for text in texts for done in (0.0, 1.0)]
    asked = [one for lesson_ in lessons for one in lesson_]
    return [part for one in asked for part in (one.question, one.answer)] + ["user", "assistant"]


def _question_words(scenes: Scenes, config: RoomsConfig) -> list[str]:
    """For the tokenizer: questions of all tasks, so that fine-tuning meets whole words."""
    few = scenes.select(slice(0, 128))
    pairs = zip(rooms_of(few, config), few.instance, strict=True)
    asked = [
        candidate for room, instance in pairs for candidate in generate_questions(room, instance)
    ]
    return [text for c in asked for text in (c.stem, *c.options)]


def _train_vision(model, scenes: Scenes, processor, config: MllmConfig, folder: Path) -> float:
    """Rung zero: `vision.py`."""
    architecture, cell = config.architecture, config.cell
    token = 2 * architecture.patch_size

    @cache
    def classes() -> torch.Tensor:  # not needed where the rung is finished
        shards = [scenes.select(slice(at, at + SHARD)) for at in range(0, len(scenes), SHARD)]
        found = [
            cell_classes(rooms_of(shard, config.rooms), shard, token, cell)
            for shard in progress(shards, "cell classes")
        ]
        return torch.from_numpy(np.concatenate(found))

    device = model.device
    reader = CellReader(architecture.width, (token // cell) ** 2).to(device)
    both = torch.nn.ModuleDict({"visual": model.model.visual, "reader": reader})

    def step_loss(step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        rows = batch_rows(step, len(scenes), config.vision.batch, config.vision.seed)
        pixels, grid = patchify(np.concatenate(scenes.image[rows]), processor)
        tokens = model.model.visual(pixels.to(device), grid_thw=grid).pooler_output
        return reader.loss(tokens, classes()[rows].reshape(-1, 2).to(device))

    settings = _without(config, "drills", "language", "lessons")
    return run_loop(both, step_loss, config.vision, folder, settings)


def _without(config: MllmConfig, *later: str) -> dict[str, Any]:
    """What a rung depends on: all settings but those of `later` ones."""
    return {name: value for name, value in to_mapping(config).items() if name not in later}


def _train_drills(
    model, texts: list[RoomText], encoder: LessonEncoder, config: MllmConfig, folder: Path
) -> float:
    """The LLM alone learns to find the letter of an option, from text alone."""
    loop = config.drills

    def step_loss(step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        rows = batch_rows(step, len(texts), loop.batch, loop.seed)
        return _answers(
            model,
            encoder.batch([drills(texts[row], config.lessons.drills_alone, rng) for row in rows]),
        )

    settings = _without(config, "language", "lessons")
    settings["drills_alone"] = config.lessons.drills_alone
    return run_loop(model.model.language_model, step_loss, loop, folder, settings)


def _train_language(
    model,
    images,
    texts: list[RoomText],
    encoder: LessonEncoder,
    processor,
    config: MllmConfig,
    folder: Path,
) -> float:
    """All other rungs: `lessons.py`. The encoder's blocks stay as they are, as is usual."""
    loop = config.language

    def step_loss(step: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        rows = batch_rows(step, len(texts), loop.batch, loop.seed)
        done = step / loop.steps
        lessons = [lesson(texts[row], done, config.lessons, rng) for row in rows]
        pixels, grid = patchify(np.concatenate(images[rows]), processor)
        return _answers(
            model, encoder.batch(lessons) | {"pixel_values": pixels, "image_grid_thw": grid}
        )

    return run_loop(model, step_loss, loop, folder, to_mapping(config))


def _answers(model, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Next-token cross-entropy on the answers, and the share of their tokens guessed right."""
    batch = {name: value.to(model.device) for name, value in batch.items()}
    labels, weights = batch.pop("labels")[:, 1:], batch.pop("weights")[:, 1:]
    scored = labels != IGNORED
    states = model.model(**batch, use_cache=False).last_hidden_state[:, :-1][scored]
    guesses, truth, weights = model.lm_head(states).float(), labels[scored], weights[scored]
    losses = torch.nn.functional.cross_entropy(guesses, truth, reduction="none")
    right = (guesses.argmax(-1) == truth).float().mean()
    return {"total": (losses * weights).sum() / weights.sum(), "right": right}
