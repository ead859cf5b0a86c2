"""The models, batches and settings of which the scripts measure training steps.

On a CPU: the shipped model on rooms, with section `train` of workflow/config/default.yaml and one
thread, as its jobs. On a GPU: random weights in the shape of Qwen2.5-VL-3B, 4 views of 448 pixels,
labels of half that size, heads and bf16 as in workflow/config/paper.yaml, gradient checkpointing.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from common.figures import make_parser
from spatialsv.config import from_mapping
from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.families.family import Family
from spatialsv.model.families.qwen2_5_vl import Qwen25VL
from spatialsv.model.mllm import load_mllm
from spatialsv.model.packed import enable_packed_attention
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.questions import balance_questions, generate_questions
from spatialsv.rooms.views import render_views
from spatialsv.samples.batch import Batch
from spatialsv.samples.chat import IGNORED, Tokens
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import Sample, SamplesConfig, SceneDataset
from spatialsv.samples.targets import Target
from spatialsv.teachers.rooms import RoomsTeacher
from spatialsv.train.config import TrainConfig
from spatialsv.train.parameters import precision_of

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow"))
from recipes import LLM, ROPE, VISION  # noqa: E402
from settings import load_settings  # noqa: E402


@dataclass(frozen=True, kw_only=True, eq=False)
class Setup:
    """Model, batch and settings that all arms share."""

    device: str
    config: TrainConfig
    mllm: Any
    family: Family
    batch: Batch
    teacher: RoomsTeacher | None = None
    pixels: torch.Tensor | None = None  # views of the batch, as the teacher expects them

    @property
    def channels(self) -> int:
        """Return the width of the teacher's features."""
        return self.batch.geometry.features.shape[-1]


def rooms_setup(device: str, changes: dict[str, Any]) -> Setup:
    """Return the shipped model with a batch of rooms."""
    settings = load_settings(ROOT, {"overlay": "default"})
    config = train_config(settings, changes)
    mllm, family = load_mllm(resolve_model("rooms").checkpoint)
    if config.packed:
        enable_packed_attention(mllm)
    rooms, scenes = render_views(
        range(config.batch_size), from_mapping(RoomsConfig, settings["scenes"]["rooms"], "rooms")
    )
    candidates = [
        generate_questions(room, instance)
        for room, instance in zip(rooms, scenes.instance, strict=True)
    ]
    questions = balance_questions(candidates, config.questions_per_sample, np.random.default_rng(0))
    teacher = RoomsTeacher.load()
    options = SamplesConfig(
        questions_per_sample=config.questions_per_sample,
        packed=config.packed,
        label_stride=config.label_stride,
    )
    samples = SceneDataset(scenes, questions, family, teacher.label(scenes), options)
    batch = Collate(processor=family, packed=config.packed)(
        [samples[row] for row in range(config.batch_size)]
    )
    return Setup(
        device=device,
        config=config,
        mllm=mllm,
        family=family,
        batch=batch,
        teacher=teacher,
        pixels=torch.from_numpy(scenes.image).float() / 255,
    )


def qwen_setup(device: str, changes: dict[str, Any], views: int = 4, side: int = 448) -> Setup:
    """Return Qwen2.5-VL-3B with random weights, and samples of noise at the usual cost."""
    own = {"attention": "sdpa", "heads": {"output_size": [side // 2, side // 2]}}
    settings = load_settings(ROOT, {"overlay": "paper", "train": own})
    config = train_config(settings, changes)
    shape = qwen_3b()
    with torch.device(device):
        mllm = Qwen2_5_VLForConditionalGeneration(shape)
    processor = Qwen2VLImageProcessorPil(
        patch_size=14, merge_size=2, size={"shortest_edge": side**2, "longest_edge": side**2}
    )
    family = Qwen25VL(SimpleNamespace(pad_token_id=0), processor, shape)
    noise = np.random.default_rng(0)
    samples = [
        noisy_sample(family, noise, views, side, shape.text_config.vocab_size)
        for _ in range(config.batch_size)
    ]
    batch = Collate(processor=family)(samples).to(device)
    return Setup(device=device, config=config, mllm=mllm, family=family, batch=batch)


def qwen_3b() -> Qwen2_5_VLConfig:
    """Return the sizes in the config.json of Qwen/Qwen2.5-VL-3B-Instruct."""
    text = LLM["qwen2_5_vl_3b"]
    return Qwen2_5_VLConfig(
        text_config=text | {"rope_parameters": ROPE},
        vision_config=VISION | {"out_hidden_size": text["hidden_size"]},
        tie_word_embeddings=text["tie_word_embeddings"],
    )


def noisy_sample(
    family: Family, noise: np.random.Generator, views: int, side: int, words: int
) -> Sample:
    """Return a labelled chat of 64 question and 16 answer tokens about views of noise."""
    images = noise.integers(0, 256, (views, side, side, 3), dtype=np.uint8)
    prepared = family.prepare(list(images), "image")
    text = torch.from_numpy(noise.integers(0, words // 2, 80))  # contains no visual token
    between = [part for view_ids in prepared.placeholders for part in (text[:1], view_ids)]
    ids = torch.cat([*between, text])
    labels = torch.full_like(ids, IGNORED)
    labels[-16:] = ids[-16:]
    size = (views, side // 2, side // 2)
    centre = side / 4
    K = torch.tensor([[centre, 0, centre], [0, centre, centre], [0, 0, 1]], dtype=torch.float64)
    target = Target(
        depth=torch.from_numpy(noise.uniform(0.5, 3, size).astype(np.float32)),
        valid=torch.ones(size, dtype=torch.bool),
        intrinsics=K.expand(views, 3, 3),
        cam_to_world=torch.eye(4, dtype=torch.float64).expand(views, 4, 4),
        features=torch.from_numpy(noise.normal(size=(views, 36, 36, 1024)).astype(np.float32)),
    )
    return Sample(
        ids=("noise",), tokens=Tokens(input_ids=ids, labels=labels), views=prepared, target=target
    )


def train_config(settings: dict[str, Any], changes: dict[str, Any]) -> TrainConfig:
    """Return the section `train` as a job receives it."""
    section = {k: v for k, v in settings["train"].items() if k not in ("base", "seeds", "arms")}
    return from_mapping(TrainConfig, section | changes, "train")


def make_setup(arguments: argparse.Namespace) -> Setup:
    """Return the setup of the device with the changes of the command line."""
    torch.set_num_threads(arguments.threads)
    changes = {} if arguments.precision is None else {"precision": arguments.precision}
    if arguments.batch is not None:
        changes["batch_size"] = arguments.batch
    return (qwen_setup if arguments.device == "cuda" else rooms_setup)(arguments.device, changes)


def setup_parser(doc: str | None, **sizes: tuple[int | None, int]) -> argparse.ArgumentParser:
    """Return the parser of a script that measures training steps."""
    own = {"repeats": (5, 1), "batch": (None, 2), "threads": (1, 1)}
    parser = make_parser(doc, **own, **sizes)
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="override the settings")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def conditions(setup: Setup) -> str:
    """Return the model, the sizes of a step and its precision in one line."""
    config, (samples, tokens) = setup.config, setup.batch.input_ids.shape
    model = "shipped model" if setup.device == "cpu" else "random Qwen2.5-VL-3B"
    views = setup.batch.token_index.shape[1]
    device = f"{torch.get_num_threads()} thread(s)" if setup.device == "cpu" else setup.device
    return (
        f"{model}, {device}, {precision_of(config)}, {samples} samples of {views} views,"
        f" {tokens} tokens each, maps {config.heads.output_size}"
    )
