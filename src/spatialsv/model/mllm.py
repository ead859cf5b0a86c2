"""Any MLLM from disk or hub: the model, and its family's adapter."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel

from spatialsv.model.families.family import Family, adapter_name, read_settings
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
    family: type[Family] | str | None = None,
    weights: bool = True,
) -> tuple[PreTrainedModel, Family]:
    """The model, in eval mode, and its processor, from a local folder or a hub id.

    No code from the checkpoint is run, and none that only the checkpoint names.

    Args:
        family: an adapter of your own, or its name: `my_package.my_module:MyFamily`.
        weights: False builds the model from config.json alone, in float32 on the meta device.

    Raises:
        FileNotFoundError: a path that is neither a checkpoint's folder nor shaped like a hub id.
        ValueError: there is no adapter for the checkpoint's family, it was trained with one that
            `family` does not name, or the checkpoint is not whole.
    """
    name, local = checkpoint_name(path)
    family = import_family(family, name)
    config = AutoConfig.from_pretrained(name, local_files_only=local, trust_remote_code=False)
    family = family or find_family(config.model_type, name)
    if not weights:
        with torch.device("meta"):
            model = family.model_class(config)
        model.set_attn_implementation(attn)
        use_linear_patch_embedding(model)
        return model.eval(), family.load_processor(name, config, local)
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
    use_linear_patch_embedding(model)
    return model.eval(), family.load_processor(name, config, local)


def import_family(family: type[Family] | str | None, name: str) -> type[Family] | None:
    """The adapter that the user names, whose module is imported; None if he names none.

    Raises:
        ValueError: no such adapter, or the checkpoint `name` was trained with another.
    """
    if isinstance(family, str):
        module, _, attribute = family.partition(":")
        try:
            family = getattr(importlib.import_module(module), attribute)
            if not issubclass(family, Family):
                raise TypeError(f"{attribute} is no subclass of spatialsv's Family")
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"family {module}:{attribute}: {error}; give my_package.my_module:MyFamily, with"
                " my_package on Python's path (PYTHONPATH)"
            ) from None
    trained = read_settings(name).get("family")
    if trained and (family is None or adapter_name(family) != trained):
        raise ValueError(
            f"{name}: trained with the adapter {trained}, whose code runs only if you name it:"
            f" --family {trained}, or models.<name>.family in the pipeline's settings"
        )
    return family


def find_family(model_type: str, name: str) -> type[Family]:
    """The adapter for checkpoints of this `model_type`.

    Raises:
        ValueError: there is none; the message says what one must say.
    """
    if model_type not in FAMILIES:
        raise ValueError(
            f"{name}: no adapter for MLLMs of model_type {model_type!r}; there are"
            f" {', '.join(sorted(FAMILIES))}. One is a subclass of"
            " spatialsv.model.families.family.Family, which says there what it must say: the"
            " classes that load it, its parts, and where its visual tokens are. Name it by"
            " load_mllm(..., family=YourFamily), --family my_package.my_module:YourFamily, or"
            " models.<name>.family in the pipeline's settings"
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


def has_bf16(device_type: str) -> bool:
    """Return whether devices of this type ("cpu", "cuda") compute faster in bf16 than in float32.

    A CPU without bf16 instructions is up to 75 times slower in bf16.
    """
    if device_type != "cpu":
        return True
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


class PatchEmbedding(nn.Conv3d):
    """A convolution that is computed as a matrix product where its kernel covers the whole input.

    Qwen's encoders embed patches by such a convolution. PyTorch's Conv3d takes 30 times as long in
    bf16 on a CPU, and 100 times in the backward pass.
    """

    def forward(self, patches: Float[Tensor, "P C T H W"]) -> Float[Tensor, "P D t h w"]:
        if patches.shape[2:] != self.kernel_size or any(self.padding):
            return super().forward(patches)
        embedded = nn.functional.linear(patches.flatten(1), self.weight.flatten(1), self.bias)
        return embedded[..., None, None, None]


def use_linear_patch_embedding(model: nn.Module) -> None:
    """Make each Conv3d of `model` a `PatchEmbedding`; parameters and their names do not change."""
    for module in model.modules():
        if type(module) is nn.Conv3d:
            module.__class__ = PatchEmbedding
