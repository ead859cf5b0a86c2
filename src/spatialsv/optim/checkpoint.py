"""Checkpoints to resume a run from: folders `checkpoint-STEP`, by torch.distributed.checkpoint.

A folder takes its name when it is complete, so a killed run leaves no partial checkpoint.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer

from spatialsv.io.atomic import delete, write_json
from spatialsv.io.text import load_json
from spatialsv.optim.distributed import rank, wait_for_all

CHECKPOINT = "checkpoint-"  # names of checkpoints, before the step
KEPT = 2  # checkpoints; the older is deleted when a newer one is complete
NOTES = "state.json"  # in a checkpoint: the step, and other values than tensors


def save_checkpoint(
    folder: Path, model: nn.Module, optimisers: Sequence[Optimizer], notes: dict[str, Any]
) -> None:
    """Write the checkpoint of `notes["step"]` and delete those before the last `KEPT`.

    Args:
        folder: the run's work directory.
        model: its weights are saved, each process's part by that process.
        optimisers: of the model's parameters.
        notes: the step, and other JSON values.
    """
    path = folder / f"{CHECKPOINT}{notes['step']}"
    partial = path.with_name(f".{path.name}")
    if rank() == 0:
        delete(partial)
        delete(path)
    wait_for_all()
    state = _tensors(model, optimisers) | {f"random-{rank()}": _random_state()}
    with _one_process_is_meant():
        dcp.save(state, checkpoint_id=partial)
    if rank() == 0:
        write_json(partial / NOTES, notes)
        partial.rename(path)
        for old in _checkpoints(folder)[:-KEPT]:
            delete(old)
    wait_for_all()


def load_checkpoint(
    path: Path, model: nn.Module, optimisers: Sequence[Optimizer]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a checkpoint of any number of processes into `model` and `optimisers`.

    Returns:
        The notes, and the state of the random numbers for `set_random_state`, as far as the
        checkpoint has one for this process and its device.
    """
    key = f"random-{rank()}"
    saved = dcp.FileSystemReader(path).read_metadata().state_dict_metadata
    random = {k: v for k, v in _random_state().items() if f"{key}.{k}" in saved}
    state = _tensors(model, optimisers) | {key: random}
    with _one_process_is_meant():
        dcp.load(state, checkpoint_id=path)
    set_optimizer_state_dict(model, optimisers, optim_state_dict=state["optimizer"])
    return load_json(path / NOTES), state[key]


def last_checkpoint(folder: Path) -> Path | None:
    """Return the complete checkpoint of the most steps, if there is any."""
    return next(reversed(_checkpoints(folder)), None)


def set_random_state(state: dict[str, Tensor]) -> None:
    """Set torch's random number generators to those that `state` has."""
    if "cpu" in state:
        torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def _one_process_is_meant() -> Iterator[None]:
    """Silence the warning that no other process takes part."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        yield


def _random_state() -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{CHECKPOINT}*"), key=lambda path: int(path.name.split("-")[1]))


def _tensors(model: nn.Module, optimisers: Sequence[Optimizer]) -> dict[str, Any]:
    """Return the state that is loaded in place; a weight under two names stands there once."""
    names = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    repeated = names - {name for name, _ in model.named_parameters()}
    weights = get_model_state_dict(model)
    return {
        "model": {name: value for name, value in weights.items() if name not in repeated},
        "optimizer": get_optimizer_state_dict(model, optimisers),
    }
