"""Paths on the command line: errors before any import, and digests of those that exist."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spatialsv.io.digests import digest_input
from spatialsv.options import CONFIG, Command


def check_paths(command: Command, words: Sequence[str]) -> None:
    """Check that inputs exist and that the output can be written, without importing the command.

    `Command.inputs` names options and positional arguments. `scenes*` takes several paths.
    `model?` takes a path or a name: it is checked if only a path can look like that.

    Args:
        command: what the words belong to.
        words: the command line after the command.

    Raises:
        ValueError: a path does not exist or cannot be written.
    """
    if {"-h", "--help"} & set(words):
        return
    marks = {name.rstrip("*?"): name[-1] for name in (CONFIG, *command.inputs)}
    outputs = {"out", command.names.get("out", "out"), *command.outputs}
    single = outputs | {name for name, mark in marks.items() if mark != "*"}
    for option, word in _values(command, words, single):
        if option in outputs:
            _check_writable(Path(word))
        elif option in marks and not _is_name(word, marks[option]) and not Path(word).exists():
            raise ValueError(f"{word}: no such file or folder. {_advice(Path(word))}")


def find_inputs(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the files and folders among a function's arguments, but for `out`, with digests.

    Args:
        values: arguments by name of the parameter.

    Returns:
        The `digest_input` of each path, as the command line spelt it. A word counts as a path if
        it exists and has a separator, for `rooms` names a model in any folder.
    """
    found = {}
    for name, value in values.items():
        for one in value if isinstance(value, tuple) else (value,):
            is_path = isinstance(one, Path) or (isinstance(one, str) and os.sep in one)
            if name != "out" and is_path and Path(one).exists():
                found[str(one)] = digest_input(Path(one))
    return found


def _values(
    command: Command, words: Sequence[str], single: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Yield options and positional arguments, each with a word that belongs to it.

    How many words an option takes that is not `single` is unknown here: all, up to the next option.
    """
    option, positional = "", list(command.positional)
    for word in words:
        if word.startswith("--"):
            name, given, value = word.removeprefix("--").partition("=")
            option = "" if given else name.replace("_", "-")
            if given:
                yield name.replace("_", "-"), value
        elif option:
            yield option, word
            option = "" if option in single else option
        elif positional:
            yield positional[0], word
            positional = positional[positional[0] in single :]


def _is_name(word: str, mark: str) -> bool:
    """Return whether a word may be a name, such as a hub id, or is JSON instead of a path."""
    is_path = word.count("/") > 1 or word.startswith(("/", ".", "~")) or word.endswith(".json")
    return word.lstrip().startswith("{") or (mark == "?" and not is_path)


def _advice(path: Path) -> str:
    """Return how to come by a missing path."""
    names = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
    if close := difflib.get_close_matches(path.name, names, n=1, cutoff=0.75):
        return f"Did you mean {path.with_name(close[0])}?"
    if "data" in path.parts and path.suffix == ".json":
        return f"Run `snakemake --cores all {path}` to make it."
    return f"Check the path{'' if path.is_absolute() else f', relative to {Path.cwd()}'}."


def _check_writable(path: Path) -> None:
    """Raise ValueError unless `path` can be written, with the folders above it."""
    folder = next(above for above in (path.absolute(), *path.absolute().parents) if above.exists())
    if folder == path.absolute() and path.is_file():
        folder = folder.parent
    if not folder.is_dir():
        raise ValueError(f"{path}: cannot be written, as {folder} is a file. Give another path.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(
            f"{path}: cannot be written: no permission to write to {folder}. Give another path."
        )
