"""DL3DV-10K: a folder named by a hash holds nerfstudio's transforms.json and the images, smaller.

Its K is for the full size; images_4 and images_8 hold a quarter and an eighth of it, and `load`
scales. The file may be one folder down, as in the sample (colmap) and the benchmark (nerfstudio).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spatialsv.scenes.readers import nerfstudio
from spatialsv.scenes.readers.capture import Capture, natural_key

PATTERNS = ("transforms.json", "colmap/transforms.json", "nerfstudio/transforms.json")
LICENCE = "CC-BY-NC-4.0"


def scenes(root: Path) -> list[Path]:
    """The files of the scene `root`, of scenes in it, or of those in its parts (1K, 2K, ...)."""
    if root.is_file():
        return [root] if nerfstudio.is_transforms(root) and nerfstudio.is_dl3dv(root) else []
    patterns = [f"{depth}{place}" for depth in ("", "*/", "*/*/") for place in PATTERNS]
    found = {path for pattern in patterns for path in root.glob(pattern)}
    return sorted(filter(nerfstudio.is_dl3dv, found), key=natural_key)


def capture(scene: Path) -> Capture:
    """The frames of one scene; its id is the hash.

    Raises:
        CaptureError: as of nerfstudio's files.
    """
    folders = [folder.name for folder in scene.resolve().parents]
    name = next(name for name in folders if nerfstudio.HASH.fullmatch(name))
    return replace(nerfstudio.capture(scene), id=name, source="dl3dv", licence=LICENCE)
