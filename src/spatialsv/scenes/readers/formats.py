"""The formats of captures by name, and their detection."""

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
GENERIC = ("photos", "video")  # any dataset contains these: only if no other format matches


def detect(root: Path) -> str:
    """Return the name of the format of `root`.

    Raises:
        FileNotFoundError: `root` does not exist.
        ValueError: no format or several formats match.
    """
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such file or folder")
    for names in (set(FORMATS) - set(GENERIC), GENERIC):
        found = sorted(name for name in names if FORMATS[name].scenes(root))
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"{root}: could be {' or '.join(found)}. Give --format.")
    raise ValueError(f"{root}: unknown format. Known formats: {', '.join(FORMATS)}.")
