"""Where a model lies: whatever a user may name as one, and what its training told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from spatialsv.io.manifest import Manifest, read_manifest
from spatialsv.model.families.family import own_settings

MLLM, HEADS = "mllm", "heads"  # in the folder of a trained model
SHIPPED = ("base", "rooms")  # names of the MLLM in this package: an arm's, and its data's


@dataclass(frozen=True)
class Place:
    """A train manifest, a folder with mllm/ and perhaps heads/, a checkpoint's folder, a hub id."""

    name: str
    manifest: Manifest | None = None  # of the model's training, where it is at hand

    @property
    def folder(self) -> Path:
        """In which the model lies, heads and all."""
        return Path(self.name) if self.manifest is None else self.manifest.path.parent

    @property
    def checkpoint(self) -> str:
        """The MLLM's own folder, or a hub id.

        Raises:
            ValueError: the manifest's files are not there.
        """
        if self.manifest is not None:
            return str(self.manifest.resolve(MLLM))
        inside = self.folder / MLLM
        return str(inside) if inside.is_dir() else self.name

    @property
    def about(self) -> Mapping[str, Any]:
        """What a model says of its training, where it was trained or exported here."""
        return own_settings(self.checkpoint) if self.manifest is None else self.manifest.about

    @property
    def blank(self) -> bool:
        """Whether it was trained on plain grey in place of images."""
        return bool(self.about.get("settings", {}).get("blank_images", False))


def find_model(model: str | Path) -> Place:
    """The place of `model`, of whatever kind; a training job's folder stands for its manifest.

    Raises:
        ValueError: a manifest that is none, or is not there.
    """
    if str(model) in SHIPPED:
        return Place(str(files("spatialsv") / "weights" / "mllm"))
    path = Path(model)
    if path.suffix != ".json" and (path / "manifest.json").is_file():
        path /= "manifest.json"
    return Place(str(path), read_manifest(path)) if path.suffix == ".json" else Place(str(model))
