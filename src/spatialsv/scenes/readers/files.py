"""Helpers of the format modules: directory search, text and JSON files, frame collection."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from spatialsv.io.text import load_json, read_lines
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
    """Return the directories that match `holds`, at most `levels` below `root`.

    Matching directories are not searched further, since datasets may be large.

    Args:
        root: where the search starts.
        holds: the condition.
        levels: maximum depth of the search.

    Returns:
        The directories in natural order.
    """
    found, level = [], [root] if root.is_dir() else []
    seen = {os.path.realpath(root)}
    for left in range(levels, -1, -1):
        here = [folder for folder in level if holds(folder)]
        found += here
        rest = sorted(set(level).difference(here)) if left else ()
        level = [child for folder in rest for child in _subfolders(folder, seen)]
    return sorted(found, key=natural_key)


def walk_folders(root: Path) -> Iterator[Path]:
    """Iterate over `root` and all directories below it; each once, whatever links lead to it."""
    level, seen = [root], {os.path.realpath(root)}
    while level:
        yield from level
        level = [child for folder in level for child in _subfolders(folder, seen)]


def _subfolders(folder: Path, seen: set[str]) -> list[Path]:
    """Return the directories in `folder` that are not in `seen`, and add them to it."""

    def is_folder(entry: os.DirEntry[str]) -> bool:  # `entry.is_dir` fails on links to themselves
        return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()

    with os.scandir(folder) as entries:
        found = [entry for entry in entries if is_folder(entry)]
    found.sort(key=lambda entry: (entry.is_symlink(), entry.name))
    new = []
    for entry in found:
        if (real := os.path.realpath(entry.path)) not in seen:
            seen.add(real)
            new.append(folder / entry.name)
    return new


def holds_most(folder: Path, names: Sequence[str]) -> bool:
    """Return whether at most one of `names` is missing, which the error of the capture names."""
    return sum((folder / name).exists() for name in names) >= len(names) - 1


def list_files(paths: Iterable[Path], suffixes: Iterable[str]) -> list[Path]:
    """Return files with these suffixes and broken links to such, in natural order.

    A broken link is not dropped here, so that reading it gives a reason.
    """
    return sorted(
        (
            path
            for path in paths
            if path.suffix.lower() in suffixes
            and (path.is_file() or (path.is_symlink() and not path.exists()))
        ),
        key=natural_key,
    )


def files_by_stem(folder: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES) -> dict[str, Path]:
    """Return the files of a directory by stem, in natural order."""
    found = {
        path.name[: -len(suffix)]: path
        for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
        for suffix in suffixes
        if path.name.lower().endswith(suffix)
    }
    return {name: found[name] for name in sorted(found, key=natural_key)}


def union_of_keys(*found: Mapping[str, Path]) -> list[str]:
    """Return the names that occur in any mapping, so that incomplete frames are reported."""
    return sorted(set().union(*found), key=natural_key)


def collect_frames(
    keys: Iterable[Key], frame: Callable[[Key], Frame]
) -> tuple[list[Frame], list[FrameError]]:
    """Return the frames of all keys, and the errors of those that have none."""
    frames, skipped = [], []
    for key in keys:
        try:
            frames.append(frame(key))
        except FrameError as error:
            skipped.append(error)
    return frames, skipped


@contextmanager
def capture_errors(path: Path) -> Iterator[None]:
    """Raise errors of reading `path` as CaptureErrors."""
    try:
        yield
    except FileNotFoundError:
        raise CaptureError(f"{path}: no such file.") from None
    except (OSError, ValueError) as error:
        raise CaptureError(str(error)) from None


def lines(path: Path) -> list[tuple[str, str]]:
    """Return the lines of a text file as ("file:line", text), without blank lines and comments.

    Raises:
        CaptureError: the file is missing or is not text.
    """
    with capture_errors(path):
        numbered = [(f"{path}:{number}", line.strip()) for number, line in read_lines(path)]
    return [(where, line) for where, line in numbered if line and not line.startswith("#")]


def check_last_line(path: Path) -> None:
    """Check that the last line of a text file ends in a newline, as in complete files.

    Raises:
        CaptureError: it does not.
    """
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4))
        end = file.read().replace(b"\0", b"")  # of UTF-16
    if end and not end.endswith((b"\n", b"\r")):
        last = sum(1 for _ in read_lines(path))
        raise CaptureError(
            f"{path}:{last}: truncated: the last line does not end in a newline. Download the file"
            " again, or add it if the line is complete."
        )


def row(text: str, count: int, where: str) -> Float[np.ndarray, " n"]:
    """Return the numbers of a line.

    Raises:
        CaptureError: the line is not `count` numbers.
    """
    try:
        return parse_numbers(text, (count,), where)
    except ValueError as error:
        raise CaptureError(str(error)) from None


def read_pose(path: Path) -> Float[np.ndarray, "4 4"]:
    """Return the 4 x 4 pose in a text file.

    Raises:
        FrameError: the file is missing or invalid.
    """
    try:
        return read_numbers(path, (4, 4))
    except FileNotFoundError:
        raise FrameError("no pose", str(path)) from None
    except (OSError, ValueError) as error:
        raise FrameError("unreadable pose", str(error)) from None


def read_json_object(path: Path) -> Mapping[str, Any]:
    """Return the JSON object in a file.

    Raises:
        CaptureError: the file is missing or contains no JSON object.
    """
    with capture_errors(path):
        value = load_json(path)
    if not isinstance(value, dict):
        raise CaptureError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def array(value: Any, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """Return a JSON value as float64 array of this shape.

    Raises:
        ValueError: the value has another type or shape.
    """
    try:
        found = np.array(value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        found = None
    if found is None or found.shape != shape:
        raise ValueError(f"expected {' x '.join(map(str, shape))} numbers, found {value!r:.80}")
    return found
