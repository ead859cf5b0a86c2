"""Load any supported MLLM from a folder or the Hugging Face hub, with its family's adapter."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel
from transformers.utils import find_adapter_config_file

from spatialsv.io.manifest import check_listed
from spatialsv.model.checkpoint import read_settings
from spatialsv.model.families.family import Family, adapter_name
from spatialsv.model.families.internvl import InternVL
from spatialsv.model.families.llava_next_video import LlavaNextVideo
from spatialsv.model.families.llava_onevision import LlavaOneVision
from spatialsv.model.families.llava_onevision_1_5 import LlavaOneVision15
from spatialsv.model.families.llava_video import LlavaVideo
from spatialsv.model.families.qwen2_5_vl import Qwen25VL
from spatialsv.model.families.qwen3_vl import Qwen3VL
from spatialsv.model.loading import checkpoint_errors

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
    family: type[Family] | str | None = None,
    weights: bool = True,
) -> tuple[PreTrainedModel, Family]:
    """Load a model in eval mode, and its adapter.

    Code that comes with a checkpoint, or that only the checkpoint names, is never run.

    Args:
        path: the checkpoint's folder or hub id.
        dtype: of the weights.
        attn: transformers' attention implementation.
        family: an adapter from outside this package: a class, or `my_package.my_module:MyFamily`.
        weights: False builds the model from config.json only, in float32 on the meta device.

    Returns:
        The model and the adapter of its family.

    Raises:
        FileNotFoundError: `path` is not a checkpoint's folder or a hub id.
        ValueError: no family reads the checkpoint, it was trained with another one than `family`,
            it has a LoRA adapter, or its parameters are not exactly the model's.
    """
    name, local = _checkpoint_name(path)
    check_listed(Path(name))
    adapter = _import_family(family, name)
    with checkpoint_errors(name):
        config = AutoConfig.from_pretrained(name, local_files_only=local, trust_remote_code=False)
        adapter = adapter or find_family(config.model_type, name)
        if weights:
            model = _load_weights(adapter, name, dtype, attn, local)
        else:
            with torch.device("meta"):
                model = adapter.model_class(config)
            model.set_attn_implementation(attn)
        use_linear_patch_embedding(model)
        return model.eval(), adapter.load_processor(name, config, local)


def _load_weights(
    family: type[Family], name: str, dtype: torch.dtype, attn: str, local: bool
) -> PreTrainedModel:
    loaded: Any = family.model_class.from_pretrained(
        name,
        dtype=dtype,
        attn_implementation=attn,
        local_files_only=local,
        trust_remote_code=False,
        output_loading_info=True,
    )
    model, report = loaded
    network = family.model_class.__name__
    if missing := sorted(report["missing_keys"]):
        raise ValueError(
            f"{name}: {len(missing)} parameters of {network} are missing from this checkpoint, such"
            f" as {missing[0]}; they would be random."
        )
    if unexpected := [k for k in report["unexpected_keys"] if not k.startswith(family.unused)]:
        raise ValueError(
            f"{name}: {len(unexpected)} tensors of this checkpoint are not part of {network}, such"
            f" as {min(unexpected)}; they would be ignored. Give an adapter (--family) whose model"
            " has them, or that lists their prefixes in its `unused`."
        )
    return model


def _import_family(family: type[Family] | str | None, name: str) -> type[Family] | None:
    """Return the user's adapter, if any; it must be the one that `name` was trained with."""
    adapter = _import_class(family) if isinstance(family, str) else family
    trained = read_settings(name).get("family")
    if trained and (adapter is None or adapter_name(adapter) != trained):
        raise ValueError(
            f"{name} was trained with the adapter {trained}, whose code runs only if you name it:"
            f" give --family {trained}, or set models.<name>.family in the pipeline's settings."
        )
    return adapter


def _import_class(name: str) -> type[Family]:
    module, _, attribute = name.partition(":")
    try:
        adapter = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        problem = str(error)
    else:
        if isinstance(adapter, type) and issubclass(adapter, Family):
            return adapter
        problem = f"{attribute} is not a subclass of spatialsv's Family"
    raise ValueError(
        f"Cannot import the adapter {name}: {problem}. Give my_package.my_module:MyFamily, with"
        " my_package on Python's path (PYTHONPATH)."
    )


def find_family(model_type: str, name: str) -> type[Family]:
    """Return the adapter for `model_type`; an error for the checkpoint `name` if there is none."""
    if model_type not in FAMILIES:
        raise ValueError(
            f"{name}: no adapter for MLLMs of model_type {model_type!r}. Supported types:"
            f" {', '.join(sorted(FAMILIES))}. To add one, subclass"
            " spatialsv.model.families.family.Family, whose docstring says what it must state, and"
            " name it by load_mllm(..., family=YourFamily), --family"
            " my_package.my_module:YourFamily, or models.<name>.family in the pipeline's settings."
        )
    return FAMILIES[model_type]


def _checkpoint_name(path: str | os.PathLike[str]) -> tuple[str, bool]:
    """Return `path` as transformers takes it, and whether it is a local folder."""
    name = os.fspath(path)
    local = Path(name).is_dir()
    if not local and (isinstance(path, Path) or name.count("/") != 1 or name[0] in "./~"):
        raise FileNotFoundError(
            f"{name}: no such folder. Give a checkpoint's folder or a hub id such as"
            " Qwen/Qwen2.5-VL-3B-Instruct."
        )
    if find_adapter_config_file(name, local_files_only=local):
        # transformers would load both, and would save only the adapter.
        raise ValueError(
            f"{name}: found a LoRA adapter (adapter_config.json). Merge it into its base and give"
            " the merged checkpoint, as docs/guides/models.md shows. To use the base without it,"
            " move adapter_config.json and the adapter's weights to another folder."
        )
    if local and not (Path(name) / "config.json").is_file():
        raise FileNotFoundError(f"{name}: not a checkpoint's folder, since it has no config.json.")
    return name, local


def has_bf16(device_type: str) -> bool:
    """Return whether devices of this type ("cpu", "cuda") compute faster in bf16 than in float32.

    A CPU without instructions that oneDNN uses for bf16 is up to 75 times slower in bf16.
    """
    if device_type != "cpu":
        return True
    capability = torch.backends.cpu.get_cpu_capability()
    return torch.backends.mkldnn.is_available() and capability in ("AVX512", "SVE256")


class PatchEmbedding(nn.Conv3d):
    """A convolution that is computed as a matrix product where its kernel covers its input.

    Qwen's encoders embed patches by such a convolution. PyTorch's Conv3d takes 30 times as long in
    bf16 on a CPU, and 100 times in the backward pass.
    """

    def forward(self, patches: Float[Tensor, "P C T H W"]) -> Float[Tensor, "P D t h w"]:
        """Return the embedded patches."""
        if patches.shape[2:] != self.kernel_size or any(self.padding):
            return super().forward(patches)
        embedded = nn.functional.linear(patches.flatten(1), self.weight.flatten(1), self.bias)
        return embedded[..., None, None, None]


def use_linear_patch_embedding(model: nn.Module) -> None:
    """Make each Conv3d of `model` a `PatchEmbedding`; parameters and their names do not change."""
    for module in model.modules():
        if type(module) is nn.Conv3d:
            module.__class__ = PatchEmbedding
