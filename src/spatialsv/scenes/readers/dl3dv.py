"""DL3DV-10K: directories named by a hash, with transforms.json (nerfstudio) and reduced images.

K refers to the full size; images_4 and images_8 are smaller by these factors, and `load` scales K.
The file may be one level below, as in the sample (colmap) and the benchmark (nerfstudio).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spatialsv.scenes.readers import nerfstudio
from spatialsv.scenes.readers.capture import Capture, natural_key

PATTERNS = ("transforms.json", "colmap/transforms.json", "nerfstudio/transforms.json")
LICENCE = "CC-BY-NC-4.0"


def scenes(root: Path) -> list[Path]:
    """Return the files of the scene `root`, or of scenes below it (also in 1K, 2K, ...)."""
    if root.is_file():
        return [root] if nerfstudio.is_transforms(root) and nerfstudio.is_dl3dv(root) else []
    patterns = [f"{depth}{place}" for depth in ("", "*/", "*/*/") for place in PATTERNS]
    found = {path for pattern in patterns for path in root.glob(pattern)}
    return sorted(filter(nerfstudio.is_dl3dv, found), key=natural_key)


def capture(scene: Path) -> Capture:
    """Return the frames of one scene; its id is the hash.

    Raises:
        CaptureError: as for nerfstudio files.
    """
    folders = [folder.name for folder in scene.resolve().parents]
    name = next(name for name in folders if nerfstudio.HASH.fullmatch(name))
    return replace(nerfstudio.capture(scene), id=name, source="dl3dv", licence=LICENCE)
