"""The command line: one command for each stage, and the tools around them.

A command is a function: `options` makes its options from the signature and the config dataclass.
Modules are imported when their command runs, so that `spatialsv --help` does not import torch.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spatialsv.config import RENAMED
from spatialsv.io.digests import digest_bytes, digest_input
from spatialsv.io.jobs import requested_job
from spatialsv.io.manifest import recorded_origin
from spatialsv.options import Command, parse

# Old option -> new option. An old one is an error that names the new one.
RENAMED_OPTIONS = {
    "--blind": "--no-image",
    "--replies": "--responses",
    "--scorer": "--protocol",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the command line without the program; None: the process's own.

    Returns:
        The exit code: 0, or 2 with one line on standard error for an error of the input.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0 if words else 2
    name, *words = words
    try:
        with requested([name, *words]) as (words, request):
            _run(find_command(name, words), name, words, request)
    except (ValueError, OSError, FloatingPointError) as error:
        if debug:
            traceback.print_exc()
        print(f"spatialsv {name}: {error}", file=sys.stderr)
        return 2
    return 0


@contextlib.contextmanager
def requested(words: Sequence[str]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Run the block as the job whose request `--made-from` names, if any.

    A word `@FILE` stands for the words in a JSON file, for the system limits a command's length.

    Args:
        words: of the command line; the first is the command.

    Yields:
        The words that follow the command, and the request.
    """
    command = digest_bytes(*map(os.fsencode, words))
    words = [one for word in words[1:] for one in _expand(word)]
    if "--made-from" not in words:
        yield words, {}
        return
    at = words.index("--made-from")
    with requested_job(Path("".join(words[at + 1 : at + 2])), command) as request:
        yield [*words[:at], *words[at + 2 :]], request


def _expand(word: str) -> list[str]:
    """Return the words that a word stands for: those of the file of `@FILE`, else itself."""
    if not word.startswith("@"):
        return [word]
    try:
        words = json.loads(Path(word[1:]).read_text())
    except json.JSONDecodeError:
        words = None
    if not isinstance(words, list) or not all(isinstance(one, str) for one in words):
        raise ValueError(f"{word[1:]}: expected a JSON list of words, as {word} stands for one.")
    return words


def find_command(name: str, words: list[str]) -> Command:
    """Return the command called `name`; some have a variant that the words select.

    Args:
        name: the command.
        words: the words that follow it.

    Returns:
        The entry of `COMMANDS` or of `VARIANTS`.

    Raises:
        ValueError: the command is unknown.
    """
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Commands: {', '.join(COMMANDS)}."
        raise ValueError(f"unknown command. {hint}")
    options = {word.partition("=")[0] for word in words}
    source = " ".join(words).replace("=", " ")
    selected = {
        "scenes": "--source" in options and not re.search(r"--source rooms\b", source),
        "train": "--plan" in options,
        "lift": "--scenes" in options,
    }
    return VARIANTS[name] if selected.get(name) else COMMANDS[name]


def load_function(target: str) -> Callable[..., Any]:
    """Import a command's function, given as `module:function` without `spatialsv.`."""
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(f"spatialsv.{module}"), function)


def _run(command: Command, name: str, words: list[str], request: dict[str, Any]) -> None:
    """Parse the words, call the function and show its result."""
    function = load_function(command.target)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            values, shown = parse(function, words, name, command)
    except SystemExit as stop:
        if not stop.code:
            raise
        message = _one_line(errors.getvalue())
        unknown = message.partition("Unrecognized options:")[2].replace(",", " ").split()
        _refuse_renamed(name, [word for word in words if word in unknown])
        raise ValueError(message) from None
    inputs = find_inputs(values) if "out" in values else {}
    inputs |= {path: digest_input(Path(path)) for path in request.get("inputs", ())}
    origin = request | {"inputs": inputs}
    with recorded_origin({} if command.show is _present else origin):
        result = function(**values)
    if command.show:
        with recorded_origin(origin):  # `_present` completes the manifest
            command.show(result, **shown)


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


def _refuse_renamed(name: str, words: Sequence[str]) -> None:
    """Raise a ValueError that names the new name of the first renamed option, if any."""
    settings = {
        f"--{_as_option(old)}": f"--{_as_option(new)}"
        + ("" if new.startswith(f"{name}.") else f" of `spatialsv {new.partition('.')[0]}`")
        for old, new in RENAMED.items()
        if old.startswith(f"{name}.")
    }
    if name == "report":  # these options moved as they are
        moved = ("train", "lift", "probe", "evaluate", "pseudo", "scenes", "labels")
        settings |= {f"--{option}": f"--{option} of `spatialsv analysis`" for option in moved}
    for word in words:
        if new := (RENAMED_OPTIONS | settings).get(word.partition("=")[0]):
            raise ValueError(f"the option {word} was renamed to {new}.")


def _as_option(path: str) -> str:
    """Return the option of a settings key, `heads.output-size` of `train.heads.output_size`."""
    return path.partition(".")[2].replace("_", "-")


def _one_line(text: str) -> str:
    """Return tyro's error message, a box with a title, as one line without its copy of the help."""
    lines = [line.strip("│| ") for line in text.splitlines()]
    first = 0 if len(lines) == 1 else 1  # the title repeats what the message says
    message = " ".join(line for line in lines[first:] if line.strip("╰─╯+- "))
    return re.split(r" (?:Argument helptext:|For full helptext|Got errors:)", message)[0]


def _overview() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "usage: spatialsv [--debug] COMMAND [OPTIONS]",
            "",
            "3D spatial awareness for multimodal LLMs, stage by stage.",
            "",
            *(f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()),
            "",
            "`spatialsv COMMAND --help` lists a command's options. `make run` runs all stages.",
        ]
    )


def _show_plan(plan: Any, *, json: bool = False) -> None:
    """Print a training plan.

    Args:
        plan: of `train.plan.plan`.
        json: print the plan as JSON, sizes in bytes

    Raises:
        ValueError: the training cannot run as planned.
    """
    from spatialsv.train.plan import format_plan

    print(format_plan(plan, json))
    if plan.problems:
        raise ValueError("; ".join(plan.problems))


def _show_inspection(inspection: Any, *, json: bool = False) -> None:
    """Print the contents of a store.

    Args:
        inspection: of `scenes.store.inspect.inspect`.
        json: print everything as JSON, sizes in bytes
    """
    from spatialsv.scenes.store.inspect import format_inspection

    print(format_inspection(inspection, json))


def _show_scores(scoring: Any) -> None:
    from spatialsv.benchmarks.score import format_scores

    print(format_scores(scoring))


def _show_overlap(overlap: Any) -> None:
    from spatialsv.benchmarks.overlap import format_overlap

    print(format_overlap(overlap))


def _show_comparison(comparison: Any) -> None:
    from spatialsv.evaluate.compare import format_comparison

    print(format_comparison(comparison))


def _present(manifest: Any) -> None:
    from spatialsv.report.targets import present

    present(manifest.path)


COMMANDS = {
    "scenes": Command(
        "render one shard of rooms with questions, or read one of records (--source)",
        "rooms.stage:run",
        fixed={"source": "rooms"},
    ),
    "ingest": Command(
        "read photos, videos or datasets of posed images into a store of scenes",
        "scenes.readers.read_captures:ingest",
        positional=("root",),
        names={"store": "out"},
    ),
    "inspect": Command(
        "print the contents of a store of scenes or labels",
        "scenes.store.inspect:inspect",
        positional=("path",),
        show=_show_inspection,
    ),
    "labels": Command(
        "label one shard of scenes with a teacher's geometry",
        "labels:run",
        defaults={"teacher": "rooms"},
    ),
    "pseudo": Command("label one shard of scenes without questions, and gate it", "pseudo:run"),
    "train": Command("fine-tune the base MLLM as one arm says, or plan it (--plan)", "train:run"),
    "lift": Command(
        "lift depth, rays, cameras and points from images, or from a stage's --scenes",
        "lift.images:lift_images",
        positional=("inputs",),
        names={"scenes": "scene"},
    ),
    "export": Command(
        "write a trained model as a plain transformers checkpoint",
        "model.export:export",
        positional=("model",),
    ),
    "probe": Command("train probes on the hidden states of a frozen model", "probe:run"),
    "evaluate": Command(
        "evaluate a model on the questions of scenes, or on a benchmark",
        "evaluate:run",
        positional=("benchmark",),
    ),
    "score": Command(
        "score the responses of any model to a benchmark",
        "benchmarks.score:score",
        positional=("benchmark",),
        names={"out": "json"},
        show=_show_scores,
    ),
    "compare": Command(
        "compare the responses of two models in paired tests",
        "evaluate.compare:compare_runs",
        positional=("runs",),
        names={"out": "json"},
        show=_show_comparison,
    ),
    "overlap": Command(
        "find images and scenes that training shares with a benchmark",
        "benchmarks.overlap:overlap",
        positional=("train", "test"),
        names={"out": "json"},
        show=_show_overlap,
    ),
    "analysis": Command(
        "compute all results as tidy tables with documented columns", "analysis:run"
    ),
    "report": Command("write tables, figures and one HTML page", "report:run"),
    "ablations": Command(
        "write the paper's ablation tables for our arms",
        "analysis.ablations:run",
        show=_present,
    ),
    "paper": Command(
        "write the paper's tables of models and benchmarks",
        "analysis.paper:run",
        show=_present,
    ),
    "base": Command(
        "train the shipped MLLM or its geometry teacher from random weights (hours)",
        "base.stage:run",
        positional=("part",),
    ),
    "gather": Command(
        "write a stage's manifest over those of its jobs",
        "gather:gather",
        positional=("manifests",),
        names={"stage": "of"},
    ),
}
VARIANTS = {  # of commands that `find_command` selects by their options
    "scenes": Command(COMMANDS["scenes"].summary, "scenes.readers.stage:read_shard"),
    "train": Command(
        COMMANDS["train"].summary, "train.plan:plan", fixed={"plan": False}, show=_show_plan
    ),
    "lift": Command(COMMANDS["lift"].summary, "lift:run"),
}


if __name__ == "__main__":
    sys.exit(main())
