"""Names of files that records give: they may not leave the data folder, by name or by a link."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path, PurePosixPath, PureWindowsPath


def is_inside(name: str) -> bool:
    """Return whether `name` is a relative path without "..", on every operating system."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive:
        return False
    return "\\" not in name and "\0" not in name


def path_inside(folder: Path, name: str, linked: Collection[str] = ()) -> Path:
    """Return the path of a file, or of a directory of files, in `folder`.

    Args:
        folder: the data folder.
        name: a relative path.
        linked: other folders that links in `folder` may lead to.

    Returns:
        The path below `folder`, which may not exist.

    Raises:
        ValueError: a link leads outside `folder` and `linked`.
    """
    path, root = folder / name, folder.resolve()
    roots = [root, *(Path(other).resolve() for other in linked)]
    if root.parent.name == "snapshots":  # of the Hugging Face cache, whose files are such links
        roots.append(root.parent.parent / "blobs")
    for file in (path, *path.iterdir()) if path.is_dir() else (path,):
        real = Path(os.path.realpath(file))  # `resolve` fails on links to themselves
        if not any(map(real.is_relative_to, roots)):
            raise ValueError(
                f"{file}: a link to {real}, outside {folder}. To read it, add its folder to the"
                f" setting linked_folders: [{real.parent}]."
            )
    return path
