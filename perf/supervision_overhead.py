"""Measure the cost of supervision: time and memory of each arm's step against text only.

All arms share model, batch and views in one run and alternate; the script prints medians. A step is
forward, losses, backward, clipping and the optimiser. Memory is measured in a new process each. On
a CPU it is the peak of resident memory above that after set-up (Linux), on a GPU torch's allocated
peak.

On a CPU: the shipped model on rooms, with section `train` of workflow/config/default.yaml and one
thread, as its jobs. One row runs the teacher in each step; the others read its features from the
label store. On a GPU: random weights in the shape of Qwen2.5-VL-3B, 4 views of 448 pixels, labels
of half that size, heads and bf16 as in workflow/config/paper.yaml, gradient checkpointing.

    python perf/supervision_overhead.py [--repeats 5] [--processes 3] [--precision fp32]
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, set_seed
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from spatialsv.config import from_mapping
from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.families.family import Family
from spatialsv.model.families.qwen2_5_vl import Qwen25VL
from spatialsv.model.mllm import load_mllm
from spatialsv.model.packed import enable_packed_attention
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.questions import balance_questions, generate_questions
from spatialsv.rooms.views import render_views
from spatialsv.samples.batch import Batch
from spatialsv.samples.chat import IGNORED, Tokens
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import Sample, SamplesConfig, SceneDataset
from spatialsv.samples.targets import Target
from spatialsv.teachers.rooms import RoomsTeacher
from spatialsv.train.arm import ARMS
from spatialsv.train.config import TrainConfig
from spatialsv.train.objective import arm_losses
from spatialsv.train.parameters import freeze, parameter_groups, precision_of
from spatialsv.train.stage import make_heads

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))
from recipes import LLM, ROPE, VISION  # noqa: E402
from settings import load_settings  # noqa: E402

ROWS = {  # label -> arm, and whether the teacher runs in each step
    "text": ("text", False),
    "text + distillation, stored features": ("distill", False),
    "text + distillation, teacher in each step": ("distill", True),
    "SpatialSV": ("spatialsv", False),
}
TARGETS = {"cpu": (1.75, 1.25), "cuda": (1.10, 1.08)}  # time and memory, relative to text


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


class Side:
    """One arm's training step. The MLLM and its optimiser are shared."""

    def __init__(self, setup: Setup, row: str, optimiser: torch.optim.Optimizer) -> None:
        name, self.runs_teacher = ROWS[row]
        self.setup, self.arm, self.optimisers = setup, ARMS[name], [optimiser]
        channels = SimpleNamespace(feature_channels=setup.channels if self.arm.distill else None)
        heads = make_heads(self.arm, setup.config, channels, setup.mllm, setup.family)
        self.model = SpatialSV(setup.mllm, setup.family, heads).to(setup.device).train()
        if heads is not None:
            self.optimisers.append(adamw(self.model, setup.config, "heads"))

    def step(self) -> None:
        """Run one training step."""
        config, batch = self.setup.config, self.batch()
        with autocast(self.setup):
            total = arm_losses(self.model(batch), batch, self.arm, config)["total"]
        total.backward()
        for optimiser in self.optimisers:
            trained = [p for group in optimiser.param_groups for p in group["params"]]
            clip_grad_norm_(trained, config.max_grad_norm)
            optimiser.step()
            optimiser.zero_grad()

    def batch(self) -> Batch:
        """Return the batch, with the teacher's features computed now if it runs in the step."""
        batch, setup = self.setup.batch, self.setup
        if not self.runs_teacher:
            return batch
        with torch.no_grad():  # in batches as in the stage `labels`
            parts = setup.pixels.split(setup.teacher.batch_size)
            features = torch.cat([setup.teacher.network(part).features for part in parts])
        return replace(batch, geometry=replace(batch.geometry, features=features))

    def flops(self) -> int:
        """Return a step's FLOPs in matrix products and convolutions, without recomputation.

        The backward pass costs twice the forward pass, except through the frozen encoder.

        Returns:
            The number of floating-point operations.
        """
        with FlopCounterMode(display=False) as counter, torch.no_grad(), autocast(self.setup):
            self.model(self.setup.batch)
        counts = counter.get_flop_counts()
        encoder = f"SpatialSV.mllm.{self.setup.family.vision[0].rstrip('.')}"
        return 3 * sum(counts["Global"].values()) - 2 * sum(counts[encoder].values())


def autocast(setup: Setup) -> torch.autocast:
    """Return the autocast context of the settings."""
    bf16 = precision_of(setup.config) == "bf16"
    return torch.autocast(setup.device, torch.bfloat16, enabled=bf16)


def adamw(model: SpatialSV, config: TrainConfig, *parts: str) -> torch.optim.Optimizer:
    """Return the trainer's optimiser for these parts."""
    groups = parameter_groups(model, config)
    return torch.optim.AdamW([g for g in groups if g["name"].split(" (")[0] in parts])


def sides_of(setup: Setup, rows: list[str]) -> dict[str, Side]:
    """Return the sides of these rows."""
    set_seed(0)
    plain = SpatialSV(setup.mllm, setup.family)
    freeze(plain, setup.config)
    if setup.config.gradient_checkpointing:
        setup.mllm.activation_checkpointing_enable()
    shared = adamw(plain, setup.config, "llm", "projector")
    return {row: Side(setup, row, shared) for row in rows}


def clock(device: str) -> float:
    """Return wall-clock seconds on a GPU, and processor seconds of this process on a CPU."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def seconds(side: Side) -> float:
    """Run one step and return its time in seconds."""
    start = clock(side.setup.device)
    side.step()
    return clock(side.setup.device) - start


def peak_bytes(side: Side) -> int:
    """Return the peak of two steps: the optimiser's state exists from the second on."""
    if side.setup.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        side.step(), side.step()
        return torch.cuda.max_memory_allocated()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = resident("VmRSS")
    side.step(), side.step()
    return resident("VmHWM") - before


def resident(field: str) -> int:
    """Return a field of /proc/self/status, such as VmRSS, in bytes."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if field in x)
    return int(line.split()[1]) * 1024


def in_fresh_process(row: str, processes: int) -> int:
    """Return the peak memory of one row in bytes, the median over processes."""
    command = [sys.executable, *sys.argv, "--memory-of", row]
    peaks = [
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1]
        for _ in range(processes)
    ]
    return round(statistics.median(map(int, peaks)))


def make_setup(arguments: argparse.Namespace) -> Setup:
    """Return the setup of the device with the changes of the command line."""
    torch.set_num_threads(arguments.threads)
    changes = {} if arguments.precision is None else {"precision": arguments.precision}
    if arguments.batch is not None:
        changes["batch_size"] = arguments.batch
    return (qwen_setup if arguments.device == "cuda" else rooms_setup)(arguments.device, changes)


def parse() -> argparse.ArgumentParser:
    """Return the command-line parser that the scripts about training steps share."""
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="override the settings")
    parser.add_argument("--batch", type=int, help="samples per batch; overrides the settings")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def describe(setup: Setup) -> None:
    """Print the sizes of a step."""
    config, (samples, tokens) = setup.config, setup.batch.input_ids.shape
    about = f"{samples} samples x {tokens} tokens, {setup.batch.token_index.shape[1]} views each"
    size, labels = config.heads.output_size, tuple(setup.batch.geometry.depth.shape[2:])
    print(f"{about}; packed {config.packed}, checkpointing {config.gradient_checkpointing}")
    print(f"heads {config.heads.dpt}, maps {size}, labels {labels}")
    wanted, used = config.precision, precision_of(config)
    print(f"{setup.device}, {torch.get_num_threads()} threads, {used} (settings: {wanted})")


def main() -> None:
    """Parse the command line, measure and print."""
    parser = parse()
    parser.description = __doc__
    parser.add_argument("--processes", type=int, default=3, help="per row, for its memory")
    parser.add_argument("--peak", type=float, default=989, help="peak of the GPU in bf16, TFLOP/s")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    setup = make_setup(arguments)
    if arguments.memory_of:
        print(peak_bytes(sides_of(setup, [arguments.memory_of])[arguments.memory_of]))
        return
    describe(setup)
    rows = [row for row, (_, runs_teacher) in ROWS.items() if setup.teacher or not runs_teacher]
    sides = sides_of(setup, rows)
    for side in sides.values():
        seconds(side)  # warm-up
    times = [{row: seconds(side) for row, side in sides.items()} for _ in range(arguments.repeats)]
    flops = {row: side.flops() for row, side in sides.items()} if setup.device == "cuda" else {}
    tokens, targets = setup.batch.input_ids.numel(), TARGETS[setup.device]
    del setup, sides, side
    gc.collect()
    torch.cuda.empty_cache()
    memory = {row: in_fresh_process(row, arguments.processes) for row in rows}
    for row in rows:
        step = statistics.median(repeat[row] for repeat in times)
        ratio = statistics.median(repeat[row] / repeat["text"] for repeat in times)
        used = f"{memory[row] / 2**20:6.0f} MiB, {memory[row] / memory['text']:.2f} x"
        print(
            f"{row:42} {step:7.3f} s, {ratio:.2f} x; {used}; {tokens / step:.0f} tokens/s", end=""
        )
        if row in flops:
            print(f"; MFU {flops[row] / step / arguments.peak / 1e12:.1%}", end="")
        print()
    print(f"targets of SpatialSV: {targets[0]} x the time, {targets[1]} x the memory")


if __name__ == "__main__":
    main()
