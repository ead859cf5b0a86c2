"""The formats of captures by name, and their detection."""

from __future__ import annotations

import os
from pathlib import Path

from spatialsv.scenes.readers import (
    arkitscenes,
    co3d,
    colmap,
    dl3dv,
    hypersim,
    nerfstudio,
    photos,
    realestate10k,
    replica,
    scannet,
    scannetpp_dslr,
    scannetpp_iphone,
    seven_scenes,
    tum,
    video,
)
from spatialsv.scenes.readers.capture import Format, natural_key
from spatialsv.scenes.readers.unread_geometry import find_unread_geometry

FORMATS: dict[str, Format] = {
    "photos": photos,
    "video": video,
    "tum": tum,
    "7scenes": seven_scenes,
    "scannet": scannet,
    "scannetpp_dslr": scannetpp_dslr,
    "scannetpp_iphone": scannetpp_iphone,
    "arkitscenes": arkitscenes,
    "hypersim": hypersim,
    "replica": replica,
    "colmap": colmap,
    "nerfstudio": nerfstudio,
    "dl3dv": dl3dv,
    "realestate10k": realestate10k,
    "co3d": co3d,
}
GENERIC = ("photos", "video")  # any dataset contains these: only if no other format matches


def find_captures(format: str, root: Path) -> list[Path]:
    """Return the captures of a format at or below `root`, each once, whatever links lead to it."""
    found: dict[str, Path] = {}
    for path in sorted(FORMATS[format].scenes(root), key=lambda path: len(path.parts)):
        found.setdefault(os.path.realpath(path), path)
    return sorted(found.values(), key=natural_key)


def detect(root: Path) -> str:
    """Return the name of the format of `root`.

    Raises:
        FileNotFoundError: `root` does not exist.
        ValueError: no format or several formats match, or there is geometry in none of them.
    """
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such file or folder")
    for names in (set(FORMATS) - set(GENERIC), GENERIC):
        found = sorted(name for name in names if FORMATS[name].scenes(root))
        if len(found) == 1:
            if root.is_dir() and found[0] in GENERIC:
                _check_no_geometry(root, found[0])
            return found[0]
        if found:
            raise ValueError(f"{root}: could be {' or '.join(found)}. Give --format.")
    raise ValueError(f"{root}: unknown format. Known formats: {', '.join(FORMATS)}.")


def _check_no_geometry(root: Path, format: str) -> None:
    """Raise a ValueError if there is geometry in a folder of photos or videos."""
    if found := [str(path.relative_to(root)) for path in find_unread_geometry(root)]:
        listed = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
        known = ", ".join(name for name in FORMATS if name not in GENERIC)
        raise ValueError(
            f"{root}: found {listed} next to the images, in no known layout. Expected one of"
            f" {known}. Rearrange the files, or give --format {format} to read no geometry."
        )
