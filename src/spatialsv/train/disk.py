"""What a run writes, in bytes, and whether the disk has room for it: before it starts."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from spatialsv.model.spatialsv import SpatialSV
from spatialsv.optim.checkpoint import KEPT
from spatialsv.train.config import TrainConfig
from spatialsv.train.lora import ADAPTER

WORK = ".work"  # in the manifest's folder: checkpoints of a run that is not finished
ENCODED = "encoded"  # in it: the frozen encoder's outputs, where they are cached
STEP = 4  # bytes: AdamW counts each tensor's steps
LINE = 1024  # bytes: what the log says of a step, at most
TEXTS = 32 * 2**20  # bytes: tokenizer, settings, random states, headers of files, at most
GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class DiskUse:
    """What a run writes, in bytes; of files of tensors, only the tensors."""

    weights: int  # of a checkpoint: the model as it is trained, with adapters
    optimizer: int  # of a checkpoint: AdamW's states
    mllm: int  # of the result, adapters merged
    heads: int  # of the result
    most: int  # at any time, all files


def disk_use(model: SpatialSV, config: TrainConfig, steps: int) -> DiskUse:
    """Return what a run of `steps` writes; `model` is as it is trained, with or without values."""
    trained = [p for p in model.parameters() if p.requires_grad]
    weights = _stored(model.state_dict().values())
    optimizer = sum(2 * p.nbytes + STEP for p in trained)
    mllm = _stored(v for name, v in model.mllm.state_dict().items() if ADAPTER not in name)
    heads = _stored(model.heads.state_dict().values()) if model.heads is not None else 0
    saves = math.ceil(steps / config.save_steps)
    writing = min(saves, KEPT + 1) * (weights + optimizer)
    finishing = min(saves, KEPT) * (weights + optimizer) + mllm + heads
    most = max(writing, finishing) + (KEPT + 1) * steps * LINE + TEXTS
    return DiskUse(weights=weights, optimizer=optimizer, mllm=mllm, heads=heads, most=most)


def _stored(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of `tensors` in a file, where those that share memory stand once."""
    return sum({id(t.untyped_storage()): t.nbytes for t in tensors}.values())


def free_for(out: Path) -> int:
    """Return the bytes free for the manifest `out`, with those of a killed run's checkpoints."""
    folder = next(path for path in out.absolute().parents if path.is_dir())
    work = out.parent / WORK
    left = [p for p in work.rglob("*") if p.is_file() and work / ENCODED not in p.parents]
    return shutil.disk_usage(folder).free + sum(p.stat().st_size for p in left)


def check_disk(out: Path, use: DiskUse) -> None:
    """Stop before hours are lost on a disk that is too small.

    Raises:
        ValueError: it is; the message names the folder, what is needed and what is free.
    """
    free = free_for(out)
    if use.most > free:
        raise ValueError(
            f"{out.parent}: this run writes up to {use.most} bytes ({use.most / GIB:.1f} GiB:"
            f" {KEPT + 1} checkpoints of {(use.weights + use.optimizer) / GIB:.1f} GiB and the"
            f" model), but {free} bytes ({free / GIB:.1f} GiB) are free. Make room there, put --out"
            " on a larger disk, or train adapters (train.lora)."
        )


def check_cache(encoded: Mapping[str, Tensor], sets: int, out: Path, use: DiskUse) -> None:
    """Stop where the frozen encoder's outputs do not fit next to the checkpoints.

    Args:
        encoded: the outputs for one set of views; files that a killed run left are not needed anew.
        sets: how many sets of views there are.
        out: the run's manifest.
        use: what else it writes.

    Raises:
        ValueError: the disk has no room for both.
    """
    folder = out.parent / WORK / ENCODED
    missing = max(0, sets - len(list(folder.glob("*.safetensors"))))
    needed, free = _stored(encoded.values()) * missing, free_for(out) - use.most
    if needed > free:
        raise ValueError(
            f"{folder}: caching the encoder's outputs for {sets} sets of views takes {needed} more"
            f" bytes ({needed / GIB:.1f} GiB), but {free} bytes are free next to the checkpoints."
            " Make room there, or set train.cache_vision to false."
        )
