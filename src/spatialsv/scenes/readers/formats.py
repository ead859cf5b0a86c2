"""The formats of captures by name, and which of them a path is in."""

from __future__ import annotations

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
from spatialsv.scenes.readers.capture import Format

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
PLAIN = ("photos", "video")  # what any dataset holds as well: told only where it is no other


def detect(root: Path) -> str:
    """The name of the one format that `root` is in.

    Raises:
        FileNotFoundError: there is nothing at `root`.
        ValueError: it is in none, or could be in several.
    """
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such file or folder")
    for names in (set(FORMATS) - set(PLAIN), PLAIN):
        found = sorted(name for name in names if FORMATS[name].scenes(root))
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"{root}: could be {' or '.join(found)}; say which by --format")
    raise ValueError(f"{root}: in no format that is known; known are {', '.join(FORMATS)}")
