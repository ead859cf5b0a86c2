"""What readers of datasets share: folders found, text and JSON read, frames told one by one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from spatialsv.scenes.images import IMAGE_SUFFIXES
from spatialsv.scenes.readers.capture import (
    CaptureError,
    Frame,
    FrameError,
    natural_key,
    parse_numbers,
    read_numbers,
)

Key = TypeVar("Key")


def find_folders(root: Path, holds: Callable[[Path], bool], levels: int = 2) -> list[Path]:
    """The folders that `holds` is true of, at `root` or at most so many levels below it.

    Nothing is looked for below such a folder: the dataset may be large.
    """
    found, level = [], [root] if root.is_dir() else []
    for left in range(levels, -1, -1):
        here = [folder for folder in level if holds(folder)]
        found += here
        rest = set(level).difference(here) if left else ()
        level = [child for folder in rest for child in _subfolders(folder)]
    return sorted(found, key=natural_key)


def _subfolders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [folder / entry.name for entry in entries if entry.is_dir()]


def files_by_stem(folder: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES) -> dict[str, Path]:
    """The files of a folder by their names without these suffixes; frame 10 after frame 9."""
    found = {
        path.name[: -len(suffix)]: path
        for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
        for suffix in suffixes
        if path.name.lower().endswith(suffix)
    }
    return {name: found[name] for name in sorted(found, key=natural_key)}


def union_of_keys(*found: Mapping[str, Path]) -> list[str]:
    """The names that are in any of these: what only one of them has is told as a fault."""
    return sorted(set().union(*found), key=natural_key)


def collect_frames(
    keys: Iterable[Key], frame: Callable[[Key], Frame]
) -> tuple[list[Frame], list[FrameError]]:
    """What `frame` tells of each key, and why it cannot tell of others."""
    frames, skipped = [], []
    for key in keys:
        try:
            frames.append(frame(key))
        except FrameError as error:
            skipped.append(error)
    return frames, skipped


def lines(path: Path) -> list[tuple[str, str]]:
    """The lines of a text file that are neither empty nor comments (#), each with "file:line".

    Raises:
        CaptureError: it is missing, or not text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CaptureError(f"{path}: cannot be read ({error})") from None
    told = ((f"{path}:{n}", line.strip()) for n, line in enumerate(text.split("\n"), start=1))
    return [(where, line) for where, line in told if line and not line.startswith("#")]


def row(text: str, count: int, where: str) -> Float[np.ndarray, " n"]:
    """The numbers of a line.

    Raises:
        CaptureError: they are not numbers, or not so many.
    """
    try:
        return parse_numbers(text, (count,), where)
    except ValueError as error:
        raise CaptureError(str(error)) from None


def read_pose(path: Path) -> Float[np.ndarray, "4 4"]:
    """A pose that has a text file of its own.

    Raises:
        FrameError: the file is missing, or holds no 4 x 4 numbers.
    """
    try:
        return read_numbers(path, (4, 4))
    except FileNotFoundError:
        raise FrameError("no pose", str(path)) from None
    except (OSError, ValueError) as error:
        raise FrameError("pose cannot be read", str(error)) from None


def read_json_object(path: Path) -> Mapping[str, Any]:
    """The JSON object in a file.

    Raises:
        CaptureError: the file is missing, or holds no JSON object; with its line.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise CaptureError(f"{path}:{error.lineno}: not JSON ({error.msg})") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CaptureError(f"{path}: not JSON that can be read ({error})") from None
    if not isinstance(value, dict):
        raise CaptureError(f"{path}: no JSON object, but {type(value).__name__}")
    return value


def array(value: Any, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """A JSON value as numbers of this shape, in float64.

    Raises:
        ValueError: it is something else.
    """
    try:
        found = np.array(value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        found = None
    if found is None or found.shape != shape:
        raise ValueError(f"expected {' x '.join(map(str, shape))} numbers, found {value!r:.80}")
    return found
