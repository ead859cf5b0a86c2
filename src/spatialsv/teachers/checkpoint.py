"""The teacher network on disk: a folder with config.json and model.safetensors."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from spatialsv.config import from_mapping, to_mapping
from spatialsv.io.atomic import write_json
from spatialsv.teachers.network import TeacherNetwork, TeacherNetworkConfig

SHIPPED = Path(__file__).parents[1] / "weights" / "teacher"


def save_network(network: TeacherNetwork, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write the network, each file in one piece. Half precision keeps what ships small."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", to_mapping(network.config))
    weights = {
        name: value.detach().to("cpu", dtype).contiguous()
        for name, value in network.state_dict().items()
    }
    temporary = folder / f".model.safetensors.{os.getpid()}"
    save_file(weights, temporary)
    temporary.replace(folder / "model.safetensors")


def load_network(folder: Path = SHIPPED) -> TeacherNetwork:
    """The network in `folder`, in float32 and evaluation mode.

    Raises:
        ValueError: a file is missing or broken, or the two do not fit; the message names it.
    """
    config_path, weights_path = folder / "config.json", folder / "model.safetensors"
    for path in (config_path, weights_path):
        if not path.is_file():
            raise ValueError(f"{path}: missing; `make base` makes the teacher's weights")
    try:
        record = json.loads(config_path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{config_path}: not JSON ({error})") from None
    network = TeacherNetwork(from_mapping(TeacherNetworkConfig, record, str(config_path)))
    try:
        weights = load_file(weights_path)
    except SafetensorError as error:
        raise ValueError(f"{weights_path}: not a safetensors file ({error})") from None
    expected = {name: value.shape for name, value in network.state_dict().items()}
    found = {name: value.shape for name, value in weights.items()}
    wrong = sorted(name for name in expected | found if expected.get(name) != found.get(name))
    if wrong:
        raise ValueError(
            f"{weights_path}: {len(wrong)} tensors do not fit {config_path}, such as {wrong[0]}:"
            f" expected {expected.get(wrong[0])}, found {found.get(wrong[0])}"
        )
    network.load_state_dict(weights)  # casts to float32
    return network.eval()
