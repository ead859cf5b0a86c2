"""Any MLLM from disk or hub: the model, and its family's adapter."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import torch
from transformers import AutoConfig, PreTrainedModel

from spatialsv.model.families.family import Family
from spatialsv.model.families.internvl import InternVL
from spatialsv.model.families.llava_next_video import LlavaNextVideo
from spatialsv.model.families.llava_onevision import LlavaOneVision
from spatialsv.model.families.llava_onevision_1_5 import LlavaOneVision15
from spatialsv.model.families.llava_video import LlavaVideo
from spatialsv.model.families.qwen2_5_vl import Qwen25VL
from spatialsv.model.families.qwen3_vl import Qwen3VL

FAMILIES: dict[str, type[Family]] = {  # by `model_type` in config.json
    "internvl": InternVL,
    "llava_next_video": LlavaNextVideo,
    "llava_onevision": LlavaOneVision,
    "llava_qwen": LlavaVideo,
    "llavaonevision1_5": LlavaOneVision15,
    "qwen2_5_vl": Qwen25VL,
    "qwen3_vl": Qwen3VL,
}


def load_mllm(
    path: str | os.PathLike[str],
    dtype: torch.dtype = torch.float32,
    attn: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa",
    family: type[Family] | None = None,
) -> tuple[PreTrainedModel, Family]:
    """The model, in eval mode, and its processor, from a local folder or a hub id.

    No code from the checkpoint is run.

    Args:
        family: an adapter of your own, where `FAMILIES` has none for the checkpoint.

    Raises:
        FileNotFoundError: a path that is neither a checkpoint's folder nor shaped like a hub id.
        ValueError: there is no adapter for the checkpoint's family, or the checkpoint is not whole.
    """
    name, local = checkpoint_name(path)
    config = AutoConfig.from_pretrained(name, local_files_only=local, trust_remote_code=False)
    family = family or family_of(config.model_type, name)
    model, found = family.model_class.from_pretrained(
        name,
        dtype=dtype,
        attn_implementation=attn,
        local_files_only=local,
        trust_remote_code=False,
        output_loading_info=True,
    )
    if missing := sorted(found["missing_keys"]):
        raise ValueError(
            f"{name}: {len(missing)} parameters of {family.model_class.__name__} are not in this"
            f" checkpoint, such as {missing[0]}: they would be random"
        )
    return model.eval(), family.load_processor(name, config, local)


def family_of(model_type: str, name: str) -> type[Family]:
    """The adapter for checkpoints of this `model_type`.

    Raises:
        ValueError: there is none; the message says what one must say.
    """
    if model_type not in FAMILIES:
        raise ValueError(
            f"{name}: no adapter for MLLMs of model_type {model_type!r}; there are"
            f" {', '.join(sorted(FAMILIES))}. One is a subclass of"
            " spatialsv.model.families.family.Family, which says there what it must say: the"
            " classes that load it, its parts, and where its visual tokens are. Pass it as"
            " load_mllm(..., family=YourFamily)"
        )
    return FAMILIES[model_type]


def checkpoint_name(path: str | os.PathLike[str]) -> tuple[str, bool]:
    """`path` as transformers takes it, and whether it is a folder here.

    Raises:
        FileNotFoundError: neither a checkpoint's folder nor shaped like a hub id.
    """
    name = os.fspath(path)
    local = Path(name).is_dir()
    if local and not (Path(name) / "config.json").is_file():
        raise FileNotFoundError(f"{name}: no config.json here, so this is no checkpoint's folder")
    if not local and (isinstance(path, Path) or name.count("/") != 1 or name[0] in "./~"):
        raise FileNotFoundError(
            f"{name}: no such folder; give a checkpoint's folder or a hub id such as"
            " Qwen/Qwen2.5-VL-3B-Instruct"
        )
    return name, local
