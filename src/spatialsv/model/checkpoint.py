"""Resolve what a user may name as a model: a manifest, a folder, or a Hugging Face hub id."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from spatialsv.io.manifest import Manifest, read_manifest
from spatialsv.io.text import load_json

MLLM, HEADS = "mllm", "heads"  # subfolders of a trained model's folder
SETTINGS_FILE = "spatialsv.json"  # in a checkpoint: `Family.settings` and its training's record
SHIPPED = ("base", "rooms")  # names of the MLLM in this package: the arm's and its data's


@dataclass(frozen=True)
class CheckpointRef:
    """A reference to a model, of which nothing is loaded.

    `name` is the path of a train manifest, a folder with mllm/ and possibly heads/, a checkpoint
    folder, or a hub id.
    """

    name: str
    manifest: Manifest | None = None  # of the training run, if `name` is its path

    @property
    def folder(self) -> Path:
        """The folder that contains the model and its heads."""
        return Path(self.name) if self.manifest is None else Path(self.name).parent

    @property
    def checkpoint(self) -> str:
        """The MLLM's checkpoint folder, or its hub id.

        Raises:
            ValueError: the files listed in the manifest are missing.
        """
        if self.manifest is not None:
            return str(self.manifest.resolve(MLLM))
        inside = self.folder / MLLM
        return str(inside) if inside.is_dir() else self.name

    @property
    def has_heads(self) -> bool:
        """Whether there are trained heads next to the MLLM."""
        return (self.folder / HEADS).is_dir()

    @property
    def about(self) -> Mapping[str, Any]:
        """The record of the model's training; empty for models that SpatialSV did not train."""
        return read_settings(self.checkpoint) if self.manifest is None else self.manifest.about

    @property
    def uses_blank_images(self) -> bool:
        """Whether the model was trained on plain grey images."""
        return bool(self.about.get("settings", {}).get("blank_images", False))


def resolve_model(model: str | Path) -> CheckpointRef:
    """Return a reference to `model`; a training job's folder stands for its manifest.

    Raises:
        ValueError: the manifest is missing or invalid.
    """
    if str(model) in SHIPPED:
        return CheckpointRef(str(files("spatialsv") / "weights" / "mllm"))
    path = Path(model)
    if path.suffix != ".json" and (path / "manifest.json").is_file():
        path /= "manifest.json"
    if path.suffix == ".json":
        return CheckpointRef(str(path), read_manifest(path))
    return CheckpointRef(str(model))


def read_settings(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return SpatialSV's record in the checkpoint `folder`; empty if there is none."""
    path = Path(folder) / SETTINGS_FILE
    return load_json(path) if path.is_file() else {}
