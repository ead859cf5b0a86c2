"""Compare `spatialsv train --plan` with the memory and speed of a training.

Each case is planned, then trained for three steps in a separate process. On a GPU the measured
value is PyTorch's allocated peak. On a CPU it is the highest anonymous memory of the process,
sampled during the run, above that of a first, tiny run (imports, kernels). glibc returns freed
memory at once, so that its caching is not measured. The last column is the share of the matrix
products' peak speed that the last step reached.

    python perf/plan.py [--only TEXT] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch
from common.figures import Figure, make_parser, parse, report, resident
from transformers import AutoConfig

from spatialsv.config import from_mapping
from spatialsv.labels import LabelsConfig
from spatialsv.labels import run as label
from spatialsv.model.mllm import find_family
from spatialsv.optim.loop import Loop
from spatialsv.rooms.stage import ScenesConfig
from spatialsv.rooms.stage import run as make_scenes
from spatialsv.train import TrainConfig, parameters, run
from spatialsv.train.plan import measured_flops, plan

# CPUs without bf16 instructions are slow, but use the same memory.
parameters.has_bf16 = lambda _: True

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers.tiny_families import SAVE  # noqa: E402

SHIPPED = {"packed": True, "questions_per_sample": 4, "heads": {"taps": [1, 2, 4, 6]}}
HALF, CHECKPOINTED = {"precision": "bf16"}, {"gradient_checkpointing": True}
LORA = {"lora": {"rank": 16}}
DPT = {"width": 64, "reassembly": [64, 64, 128, 128]}
LARGE = {"batch_size": 2, "heads": {"projector_width": 128, "output_size": [64, 64], "dpt": DPT}}
LLM = {"intermediate_size": 2816, "num_attention_heads": 16, "num_key_value_heads": 4}
SIZES = {  # width and layers of the LLM
    "100 M": LLM | {"hidden_size": 768, "num_hidden_layers": 12},
    "300 M": LLM | {"hidden_size": 1280, "num_hidden_layers": 18},
    "600 M": LLM | {"hidden_size": 1536, "num_hidden_layers": 30},
}
CASES = [  # base, arm, settings
    ("rooms", "text", SHIPPED | {"batch_size": 8}),
    ("rooms", "text", SHIPPED | {"batch_size": 24}),
    ("rooms", "text", SHIPPED | HALF),
    ("rooms", "text", SHIPPED | CHECKPOINTED),
    ("rooms", "spatialsv", SHIPPED | {"batch_size": 8}),
    ("rooms", "spatialsv", SHIPPED),
    ("rooms", "spatialsv", SHIPPED | HALF | CHECKPOINTED | {"batch_size": 8}),
    ("rooms", "spatialsv", SHIPPED | {"batch_size": 8, "accumulation": 2}),
    ("qwen2_5_vl 100 M", "spatialsv", LARGE),
    ("qwen2_5_vl 300 M", "text", LARGE | CHECKPOINTED),
    ("qwen2_5_vl 100 M", "spatialsv", LARGE | HALF | {"batch_size": 1}),
    ("qwen2_5_vl 600 M", "spatialsv", LARGE | LORA),
    ("internvl 100 M", "spatialsv", LARGE),
    ("internvl 300 M", "spatialsv", LARGE | LORA),
    ("llava_onevision 100 M", "spatialsv", LARGE),
    ("llava_onevision 300 M", "spatialsv", LARGE | LORA | CHECKPOINTED),
]


def job(folder: Path, base: str, arm: str, settings: dict[str, Any], out: str) -> dict[str, Any]:
    """Return the arguments of `run` and `plan`."""
    train = {"steps": 3, "log_steps": 100} | settings
    return {
        "arm": arm,
        "seed": 0,
        "scenes": [folder / "scenes.json"],
        "labels": [folder / "labels.json"],
        "pseudo": [],
        "config": from_mapping(TrainConfig, train, "train"),
        "out": folder / "out" / out / "manifest.json",
        "base": base if base == "rooms" else folder / base,
    }


def make_data(folder: Path, count: int) -> None:
    """Write rooms of four views with questions and labels."""
    settings = {"shard_size": count, "questions": 12}
    scenes = from_mapping(ScenesConfig, settings, "scenes")
    make_scenes(split="train", shard=0, config=scenes, out=folder / "scenes.json")
    label(
        scenes=folder / "scenes.json",
        teacher="rooms",
        config=LabelsConfig(),
        out=folder / "labels.json",
    )


def make_base(folder: Path, base: str) -> None:
    """Write a random checkpoint of the family that the tests use, with a larger LLM."""
    if base == "rooms" or (folder / base).is_dir():
        return
    name, _, size = base.partition(" ")
    SAVE[name](folder / base)
    config = AutoConfig.from_pretrained(folder / base)
    text = config.get_text_config()
    for key, value in SIZES[size].items():
        setattr(text, key, value)
    text.layer_types = ["full_attention"] * text.num_hidden_layers
    if name == "qwen2_5_vl":
        side = text.hidden_size // text.num_attention_heads // 2
        text.rope_parameters["mrope_section"] = [side - 2 * (side // 3), side // 3, side // 3]
        config.vision_config.out_hidden_size = text.hidden_size
    find_family(name, base).model_class(config).save_pretrained(folder / base)


def measure(folder: Path, case: tuple[str, str, dict[str, Any]]) -> dict[str, float]:
    """Train in this process; return peak memory in bytes and seconds of the last step."""
    _, arm, _ = case
    run(**job(folder, "rooms", arm, SHIPPED | {"batch_size": 1, "steps": 1}, "warm"))
    gc.collect()
    config = job(folder, *case, "measured")["config"]
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    half = torch.bfloat16 if config.precision == "bf16" else torch.float32
    seconds: list[float] = []
    step = Loop.train_step

    def timed(self: Loop, passes: Any) -> Any:
        start = time.perf_counter()
        line = step(self, passes)
        seconds.append(time.perf_counter() - start)
        return line

    Loop.train_step = timed
    start, highest, done = resident("RssAnon"), [0], threading.Event()

    def sample() -> None:
        while not done.wait(0.002):
            highest[0] = max(highest[0], resident("RssAnon"))

    watch = threading.Thread(target=sample)
    watch.start()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    run(**job(folder, *case, "measured"))
    done.set()
    watch.join()
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else highest[0] - start
    return {"peak": peak, "seconds": seconds[-1], "flops": measured_flops(device, half)}


def measure_apart(folder: Path, case: tuple[str, str, dict[str, Any]]) -> dict[str, float]:
    """Return `measure` of a new process whose allocator returns freed memory at once."""
    child = subprocess.run(
        [sys.executable, __file__, "--folder", folder, "--measure", json.dumps(case)],
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(child.stdout.splitlines()[-1])


def main() -> None:
    """Parse the command line, measure and report."""
    parser = make_parser(__doc__, cases=(len(CASES), 1), scenes=(48, 24))
    parser.add_argument(
        "--only", default="", help="run only the cases whose line contains this text"
    )
    parser.add_argument("--folder", type=Path, help="of data and checkpoints; default: a new one")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parse(parser)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="perf-plan-"))
    if arguments.measure:
        print("\n" + json.dumps(measure(folder, json.loads(arguments.measure))))
        return
    if not (folder / "labels.json").is_file():
        make_data(folder, arguments.scenes)
    figures = []
    for case in CASES[: arguments.cases]:
        label = f"{case[0]}, {case[1]}, {json.dumps(case[2])}"
        if arguments.only not in label:
            continue
        make_base(folder, case[0])
        planned = plan(**job(folder, *case, "planned"), tflops=1.0)
        found = measure_apart(folder, case)
        ratio = planned.memory.peak / found["peak"]
        used = planned.memory.flops / found["seconds"] / found["flops"]
        print(f"{ratio:.2f}, {found['peak'] / 1e6:.0f} MB, {used:.0%} of speed: {label}")
        figures.append(Figure(comparison=f"memory, planned / measured: {label}", value=ratio))
    report(arguments, f"three steps on {arguments.scenes} rooms of 4 views", figures)


if __name__ == "__main__":
    main()
