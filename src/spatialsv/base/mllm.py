"""The base MLLM from random weights: encoder on cells, LLM on letters, LLM and merger on tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from transformers import (
    AutoTokenizer,
    PreTrainedTokenizerBase,
    Qwen2_5_VLForConditionalGeneration,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

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
from spatialsv.base.encode import TaskEncoder
from spatialsv.base.phase import PhaseConfig, batch_rows, run_phase
from spatialsv.base.tasks import PretrainingConfig, RoomQuestions, TaskSampler
from spatialsv.base.vision import CellReader, cell_classes, rescale_merger
from spatialsv.config import to_mapping
from spatialsv.io.work_directory import open_work_directory
from spatialsv.model.mllm import use_linear_patch_embedding
from spatialsv.model.packed import enable_packed_attention
from spatialsv.optim.checkpoint import CHECKPOINT
from spatialsv.optim.distributed import accelerator
from spatialsv.progress import progress
from spatialsv.rooms.evidence import cross_view_candidates, measure_pairs, to_questions
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.questions import generate_questions
from spatialsv.rooms.questions.visibility import measure_visibility
from spatialsv.samples.chat import IGNORED
from spatialsv.scenes.scene import Scenes

Model = Qwen2_5_VLForConditionalGeneration


def _default_phase(steps: int, batch_size: int = 24) -> PhaseConfig:
    return PhaseConfig(steps=steps, lr=1e-3, lr_muon=3e-3, batch_size=batch_size)


@dataclass(frozen=True, kw_only=True)
class MllmConfig:
    """The recipe of the shipped base MLLM."""

    rooms: RoomsConfig = field(default_factory=RoomsConfig)  # the rooms to learn from
    shards: int = 48  # of 512 rooms
    architecture: ArchitectureConfig = field(default_factory=ArchitectureConfig)  # sizes
    tasks: PretrainingConfig = field(default_factory=PretrainingConfig)  # questions
    cell: int = 4  # pixels; the encoder learns what covers each cell
    vision: PhaseConfig = field(default_factory=lambda: _default_phase(1200))  # encoder only
    letters: PhaseConfig = field(default_factory=lambda: _default_phase(300, 32))  # LLM only
    language: PhaseConfig = field(default_factory=lambda: _default_phase(4600))  # LLM and merger
    seed: int = 0  # of the first weights


def train_mllm(config: MllmConfig, work: Path, out: Path) -> dict[str, float]:
    """Train and save the base MLLM; a second call resumes where the first was stopped.

    Args:
        config: the recipe.
        work: the folder of rooms and checkpoints.
        out: the folder of the finished checkpoint.

    Returns:
        Seconds of each phase.

    Raises:
        ValueError: `work` has checkpoints of other settings.
    """
    for phase, settings in _phase_settings(config).items():  # before the first phase's hours
        open_work_directory(work / phase, settings, keep=f"{CHECKPOINT}*")
    stores = render_corpus(work / "scenes" / "base", "base", config.shards, config.rooms)
    rooms = describe_corpus(stores, config.rooms)
    scenes = load_corpus(stores, ["image", "depth", "instance"])
    tokenizer = _tokenizer(work / "tokenizer", rooms, scenes, config)
    processor = build_image_processor(config.architecture)
    model = build_model(config.architecture, config.seed)
    torch.nn.Module.to(model, accelerator())
    enable_packed_attention(model)
    use_linear_patch_embedding(model)
    side = config.architecture.image_size // config.architecture.patch_size // 2
    letters, tasks = (TaskEncoder(tokenizer, views, side) for views in (0, config.rooms.views))
    seconds = {
        "vision": _train_vision(model, scenes, processor, config, work / "vision"),
        "letters": _train_letters(model, rooms, letters, config, work / "letters"),
    }
    pixels, grid = patchify(np.concatenate(scenes.image[:32]), processor)
    tokens = _encode(model, pixels, grid)
    words = model.get_input_embeddings().weight.norm(dim=-1).mean().item()  # type: ignore[operator]  # untyped
    rescale_merger(model.model.visual.merger, tokens, words)
    model.model.visual.blocks.requires_grad_(False)
    model.model.visual.patch_embed.requires_grad_(False)
    images = scenes.image
    del scenes  # depth and instances, two gigabytes
    seconds["language"] = _train_language(
        model, images, rooms, tasks, processor, config, work / "language"
    )
    torch.nn.Module.to(model, torch.device("cpu"))
    save_mllm(model, tokenizer, processor, out)
    return seconds


def _tokenizer(
    folder: Path, rooms: list[RoomQuestions], scenes: Scenes, config: MllmConfig
) -> PreTrainedTokenizerBase:
    """Return the tokenizer, stored in `folder`: checkpoints mean nothing under another one."""
    if not (folder / "tokenizer.json").exists():
        texts = [*_task_texts(rooms[: 4 * SHARD]), *_question_texts(scenes, config.rooms)]
        build_tokenizer(texts, config.architecture).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _task_texts(rooms: list[RoomQuestions]) -> list[str]:
    """Return an early and a late sample of each room, for the tokenizer."""
    rng, sampler = np.random.default_rng(0), TaskSampler(PretrainingConfig())
    samples = [sampler.sample(room, done, rng) for room in rooms for done in (0.0, 1.0)]
    questions = [question for sample in samples for question in sample]
    return [text for q in questions for text in (q.question, q.answer)] + ["user", "assistant"]


def _question_texts(scenes: Scenes, config: RoomsConfig) -> list[str]:
    """Return questions of all tasks, so that fine-tuning meets known tokens."""
    few = scenes.select(slice(0, 128))
    rooms = list(zip(rooms_of(few, config), few.instance, strict=True))
    candidates = [c for room, instance in rooms for c in generate_questions(room, instance)]
    texts = [text for c in candidates for text in (c.stem, *c.options)]
    if config.motions == ("free",) and config.views == 2:
        pairs = measure_pairs([measure_visibility(*room) for room in rooms], list(few.instance))
        across = to_questions(cross_view_candidates(pairs, seed=0), pairs, seed=0)
        texts += [question.text for question in across]
    return texts


def _train_vision(
    model: Model,
    scenes: Scenes,
    processor: Qwen2VLImageProcessorPil,
    config: MllmConfig,
    folder: Path,
) -> float:
    """Train the encoder on single images: `vision.py`."""
    architecture, cell = config.architecture, config.cell
    token = 2 * architecture.patch_size

    @cache
    def classes() -> Tensor:  # not needed where the phase is finished
        shards = [scenes.select(slice(at, at + SHARD)) for at in range(0, len(scenes), SHARD)]
        parts = [
            cell_classes(rooms_of(shard, config.rooms), shard, token, cell)
            for shard in progress(shards, "cell classes")
        ]
        return torch.from_numpy(np.concatenate(parts))

    device = model.device
    reader = CellReader(architecture.width, (token // cell) ** 2).to(device)
    both = torch.nn.ModuleDict({"visual": model.model.visual, "reader": reader})

    def step_losses(step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        rows = batch_rows(step, len(scenes), config.vision.batch_size, config.vision.seed)
        pixels, grid = patchify(np.concatenate(scenes.image[rows]), processor)
        tokens = _encode(model, pixels, grid)
        return reader.loss(tokens, classes()[rows].reshape(-1, 2).to(device))

    settings = _phase_settings(config)["vision"]
    return run_phase(both, step_losses, config.vision, folder, settings)


def _encode(model: Model, pixels: Tensor, grid: Tensor) -> Tensor:
    """Return the visual tokens of patches."""
    encoder: torch.nn.Module = model.model.visual
    return encoder(pixels.to(model.device), grid_thw=grid).pooler_output


def _phase_settings(config: MllmConfig) -> dict[str, dict[str, Any]]:
    """Return what each phase depends on: all settings but those of later ones."""
    every = to_mapping(config)
    letters = {name: value for name, value in every.items() if name not in ("language", "tasks")}
    vision = {name: value for name, value in letters.items() if name != "letters"}
    letters["letters_only"] = config.tasks.letters_only
    return {"vision": vision, "letters": letters, "language": every}


def _train_letters(
    model: Model, rooms: list[RoomQuestions], encoder: TaskEncoder, config: MllmConfig, folder: Path
) -> float:
    """Train only the LLM, on text only, to find the letter of an option."""
    phase, count = config.letters, config.tasks.letters_only

    def step_losses(step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        rows = batch_rows(step, len(rooms), phase.batch_size, phase.seed)
        samples = [TaskSampler.sample_letters(rooms[row], count, rng) for row in rows]
        return _answer_losses(model, encoder.batch(samples))

    settings = _phase_settings(config)["letters"]
    return run_phase(model.model.language_model, step_losses, phase, folder, settings)


def _train_language(
    model: Model,
    images: UInt8[np.ndarray, "S N H W 3"],
    rooms: Sequence[RoomQuestions],
    encoder: TaskEncoder,
    processor: Qwen2VLImageProcessorPil,
    config: MllmConfig,
    folder: Path,
) -> float:
    """Train LLM and merger on all tasks: `tasks.py`. The encoder's blocks stay as they are."""
    phase, sampler = config.language, TaskSampler(config.tasks)

    def step_losses(step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        rows = batch_rows(step, len(rooms), phase.batch_size, phase.seed)
        samples = [sampler.sample(rooms[row], step / phase.steps, rng) for row in rows]
        pixels, grid = patchify(np.concatenate(images[rows]), processor)
        inputs = {"pixel_values": pixels, "image_grid_thw": grid}
        return _answer_losses(model, encoder.batch(samples) | inputs)

    return run_phase(model, step_losses, phase, folder, _phase_settings(config)["language"])


def _answer_losses(model: Model, batch: dict[str, Any]) -> dict[str, Tensor]:
    """Return the next-token cross-entropy on the answers, and the accuracy of their tokens."""
    batch = {name: value.to(model.device) for name, value in batch.items()}
    labels, weights = batch.pop("labels")[:, 1:], batch.pop("weights")[:, 1:]
    scored = labels != IGNORED
    states = model.model(**batch, use_cache=False).last_hidden_state[:, :-1][scored]
    logits, truth, weights = model.lm_head(states).float(), labels[scored], weights[scored]
    losses = torch.nn.functional.cross_entropy(logits, truth, reduction="none")
    accuracy = (logits.argmax(-1) == truth).float().mean()
    return {"total": (losses * weights).sum() / weights.sum(), "accuracy": accuracy}
