"""Directories of photos, each of one place; no geometry."""

from __future__ import annotations

from pathlib import Path

from spatialsv.scenes.images import IMAGE_SUFFIXES
from spatialsv.scenes.readers.capture import Capture, Frame, natural_key
from spatialsv.scenes.readers.files import list_files, walk_folders


def scenes(root: Path) -> list[Path]:
    """Return the directories at or below `root` that contain photos."""
    if not root.is_dir():
        return []
    return sorted((folder for folder in walk_folders(root) if _photos(folder)), key=natural_key)


def capture(scene: Path) -> Capture:
    """Return the photos in natural order."""
    frames = [Frame(id=path.name, image=path) for path in _photos(scene)]
    return Capture(id=scene.resolve().name, frames=frames, source="photos", unit="relative")


def _photos(folder: Path) -> list[Path]:
    return list_files(folder.iterdir(), IMAGE_SUFFIXES)
