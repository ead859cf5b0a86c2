"""Geometry that no reader understands, so that it is not dropped where only images are read."""

from __future__ import annotations

import re
from pathlib import Path

from spatialsv.scenes.images import IMAGE_SUFFIXES
from spatialsv.scenes.readers.files import walk_folders

MAPS = r"(.*[._ -])?(depths?|disparity|disparities)([._ -].*|\d*)"
FOLDERS = re.compile(rf"{MAPS}|(.*[_-])?(poses?|intrinsics?|extrinsics?)", re.IGNORECASE)
IMAGES = re.compile(MAPS, re.IGNORECASE)
FILES = re.compile(
    r"(.*[._ -])?(traj|trajectory|poses?|groundtruth|cam|cams|cameras?|intrinsics?|extrinsics?"
    r"|calib|calibration|transforms|depths?|points3d)([._ -].*|\d*)",
    re.IGNORECASE,
)
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
DATA = {
    *(".txt", ".log", ".json", ".jsonl", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".traj", ".tum"),
    *(".npy", ".npz", ".bin", ".mat", ".h5", ".hdf5", ".pfm", ".exr", ".tif", ".tiff"),
}


def find_unread_geometry(root: Path) -> list[Path]:
    """Return depth maps, trajectories and cameras below a directory, by their names.

    Args:
        root: the directory.

    Returns:
        Directories and files, the first of each kind in its directory.
    """
    found = []
    for folder in walk_folders(root):
        kinds: set[str] = set()
        for path in sorted(folder.iterdir()):
            if (kind := _kind(path)) and kind not in kinds:
                kinds.add(kind)
                found.append(path)
    return found


def _kind(path: Path) -> str:
    suffix, stem = path.suffix.lower(), CAMEL.sub("_", path.stem)
    if path.is_dir():
        return path.name if FOLDERS.fullmatch(path.name) else ""
    if suffix in IMAGE_SUFFIXES:
        return suffix if IMAGES.fullmatch(stem) else ""
    return suffix if suffix == ".sens" or (suffix in DATA and FILES.fullmatch(stem)) else ""
