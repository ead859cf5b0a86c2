"""The command line: one command for each stage, and the tools around them.

A command is a function: `options` makes its options from the signature and the config dataclass.
Modules are imported when their command runs, so that `spatialsv --help` does not import torch.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spatialsv.config import RENAMED
from spatialsv.failure_log import log_failure
from spatialsv.io.digests import digest_input
from spatialsv.io.manifest import recorded_origin
from spatialsv.options import Command, find_inputs, parse, requested

SUMMARY = "io.summary:summarise"  # the `text` of commands that return a manifest
UNEXPECTED = 70  # exit code: EX_SOFTWARE of sysexits.h
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
        The exit code: 0; 1 if `verify` found errors; 2 with one line on standard error for an error
        of the input; 70 with such a line and a log file for an unforeseen error.
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
            return _run(find_command(name, words), name, words, request)
    except (ValueError, OSError, FloatingPointError) as error:
        if debug:
            traceback.print_exc()
        print(f"spatialsv {name}: {error}", file=sys.stderr)
        return 2
    except Exception as error:  # not foreseen: a fault of this package or of a library
        if debug:
            traceback.print_exc()
        print(f"spatialsv {name}: {log_failure(name, words, error)}", file=sys.stderr)
        return UNEXPECTED


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
        "verify": any(word.endswith(".zip") for word in words),
    }
    return VARIANTS[name] if selected.get(name) else COMMANDS[name]


def load_function(target: str) -> Callable[..., Any]:
    """Import a command's function, given as `module:function` without `spatialsv.`."""
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(f"spatialsv.{module}"), function)


def _run(command: Command, name: str, words: list[str], request: dict[str, Any]) -> int:
    """Parse the words, call the function, show its result, and return the exit code."""
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
    others = set(request.get("inputs", ())) - inputs.keys()
    inputs |= {path: digest_input(Path(path)) for path in sorted(others)}
    origin = request | {"inputs": inputs}
    with recorded_origin({} if command.show is _present else origin):
        result = function(**values)
    code = 0
    if command.text and result is not None:  # None in processes that write nothing
        print(load_function(command.text)(result))
    if command.show:
        with recorded_origin(origin):  # `_present` completes the manifest
            code = command.show(result, **shown) or 0
    if command.names.get("out") == "json" and values["out"]:
        print(f"{name}: saved to {values['out']}")
    return code


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


def _present(manifest: Any) -> None:
    from spatialsv.report.targets import present

    present(manifest.path)


COMMANDS = {
    "scenes": Command(
        "render one shard of rooms with questions, or read one of records (--source)",
        "rooms.stage:run",
        fixed={"source": "rooms"},
        text=SUMMARY,
    ),
    "select": Command(
        "select questions that need geometry across views, over all splits of rooms",
        "rooms.evidence.stage:run",
        text=SUMMARY,
    ),
    "ingest": Command(
        "read photos, videos or datasets of posed images into a store of scenes",
        "scenes.readers.read_captures:ingest",
        positional=("root",),
        names={"store": "out"},
        text=SUMMARY,
    ),
    "inspect": Command(
        "print the contents of a store of scenes or labels, or of a manifest",
        "scenes.store.inspect:inspect",
        positional=("path",),
        show=_show_inspection,
    ),
    "verify": Command(
        "compare stores, weights, tables or a bundle with the digests in their manifests",
        "scenes.verify:verify",
        positional=("path",),
        text="scenes.verify:format_verification",
        show=lambda found: 1 if found.errors else 0,
    ),
    "labels": Command(
        "label one shard of scenes with a teacher's geometry",
        "labels:run",
        defaults={"teacher": "rooms"},
        text=SUMMARY,
    ),
    "pseudo": Command(
        "label one shard of scenes without questions, and gate it",
        "pseudo:run",
        text=SUMMARY,
    ),
    "train": Command(
        "fine-tune the base MLLM as one arm says, or plan it (--plan)",
        "train:run",
        text=SUMMARY,
    ),
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
        text="model.export:format_export",
    ),
    "probe": Command(
        "train probes on the hidden states of a frozen model", "probe:run", text=SUMMARY
    ),
    "evaluate": Command(
        "evaluate a model on the questions of scenes, or on a benchmark",
        "evaluate:run",
        positional=("benchmark",),
    ),
    "audit": Command(
        "measure whether a model looks at the images, by altering or removing them",
        "evaluate.audit:audit",
        positional=("benchmark",),
        text="evaluate.audit_result:format_audit",
    ),
    "score": Command(
        "score the responses of any model to a benchmark",
        "benchmarks.score:score",
        positional=("benchmark",),
        names={"out": "json"},
        text="benchmarks.score:format_scoring",
    ),
    "compare": Command(
        "compare the responses of two models in paired tests",
        "evaluate.compare:compare_runs",
        positional=("runs",),
        names={"out": "json"},
        text="evaluate.compare:format_comparison",
    ),
    "overlap": Command(
        "find images and scenes that training shares with a benchmark",
        "benchmarks.overlap:overlap",
        positional=("train", "test"),
        names={"out": "json"},
        text="benchmarks.overlap:format_overlap",
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
        text=SUMMARY,
    ),
}
VARIANTS = {  # of commands that `find_command` selects by their options
    "scenes": Command(COMMANDS["scenes"].summary, "scenes.readers.stage:read_shard", text=SUMMARY),
    "train": Command(
        COMMANDS["train"].summary, "train.plan:plan", fixed={"plan": False}, show=_show_plan
    ),
    "lift": Command(COMMANDS["lift"].summary, "lift:run", text=SUMMARY),
    "verify": replace(
        COMMANDS["verify"],
        target="benchmarks.bundle_check:verify_bundle",
        text="benchmarks.bundle_check:format_bundle",
    ),
}


if __name__ == "__main__":
    sys.exit(main())
