"""The stage `base`: train an MLLM or a teacher from random weights, and record the recipe."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch

from spatialsv.base.check import check_mllm, check_teacher
from spatialsv.base.mllm import MllmConfig, train_mllm
from spatialsv.base.teacher import TeacherConfig, train_teacher
from spatialsv.config import to_mapping
from spatialsv.io.atomic import write_json
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.model.mllm import load_mllm
from spatialsv.optim.distributed import accelerator
from spatialsv.teachers.rooms import load_network

CHECKPOINT = "checkpoint"  # next to the manifest


@dataclass(frozen=True, kw_only=True)
class BaseConfig:
    """Both recipes."""

    mllm: MllmConfig = field(default_factory=MllmConfig)  # of the base MLLM
    teacher: TeacherConfig = field(default_factory=TeacherConfig)  # of the geometry teacher
    check_rooms: int = 256  # validation rooms to score on


def run(part: Literal["mllm", "teacher"], config: BaseConfig, out: Path) -> Manifest:
    """Train `part` and save it with a RECIPE.json in checkpoint/, next to the manifest `out`.

    A killed run resumes from its phases' checkpoints, which are in the folder of `out` too.

    Args:
        part: the MLLM or the teacher.
        config: both recipes.
        out: the manifest to write.

    Returns:
        The manifest.
    """
    work, target = out.parent, out.parent / CHECKPOINT
    model: torch.nn.Module
    if part == "mllm":
        seconds = train_mllm(config.mllm, work, target)
        mllm, family = load_mllm(target)
        model = torch.nn.Module.to(mllm, accelerator())
        tools = (family.tokenizer, family.image_processor)
        scores = asdict(check_mllm(mllm, *tools, config.mllm.rooms, config.check_rooms))
    else:
        seconds = {"network": train_teacher(config.teacher, work, target)}
        model = network = load_network(target).to(accelerator())
        scores = check_teacher(network, config.teacher.rooms, config.check_rooms)
    settings = to_mapping(getattr(config, part))
    rounded = {name: round(value, 4) for name, value in scores.items()}
    recipe: dict[str, Any] = {
        "config": settings,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": {name: round(value) for name, value in seconds.items()},
        "scores": rounded,
        "scored_on": f"{config.check_rooms} rooms of the validation split",
        "versions": _versions(),
    }
    write_json(target / "RECIPE.json", recipe)
    payload = {CHECKPOINT: digest_path(target)}
    counts = {"parameters": recipe["parameters"]}
    manifest = Manifest(
        stage="base", payload=payload, counts=counts, config=settings, about=rounded
    )
    return write_manifest(out, manifest)


def _versions() -> dict[str, Any]:
    names = ("torch", "transformers", "numpy", "embreex")
    return {"python": platform.python_version(), "threads": torch.get_num_threads()} | {
        name: version(name) for name in names
    }
