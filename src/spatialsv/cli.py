"""The command line: one command for each stage, and the tools around them.

A command is a function: `options` makes its options from the signature and the config dataclass.
Modules are imported when their command runs, after its paths were checked: `spatialsv --help` and
a misspelt path do not import torch.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import re
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spatialsv.commands import COMMANDS, find_command, load_function
from spatialsv.config import RENAMED
from spatialsv.failure_log import log_failure
from spatialsv.io.digests import digest_input
from spatialsv.io.manifest import recorded_origin
from spatialsv.options import Command, parse, requested
from spatialsv.paths import check_paths, find_inputs

OPTIONS = {  # without a command
    "--debug": "show the traceback of an error",
    "--print-completion SHELL": "print a completion script for bash, zsh or fish",
    "--version": "print the version",
}
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
        The exit code: 0; 1 if `verify` or `check-data` found errors; 2 with one line on standard
        error for an error of the input; 70 with such a line and a log file for an unforeseen error.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"spatialsv {version('spatialsv')}")
        return 0
    name, *words = words
    try:
        if name == "--print-completion":
            return _print_completion(*words)
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


def _run(command: Command, name: str, words: list[str], request: dict[str, Any]) -> int:
    """Parse the words, call the function, show its result, and return the exit code."""
    check_paths(command, words)
    function = load_function(command.target)
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            values, shown = parse(function, words, name, command)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ValueError(_explain(errors.getvalue(), name, words)) from None
    inputs = find_inputs(values) if "out" in values else {}
    others = set(request.get("inputs", ())) - inputs.keys()
    inputs |= {path: digest_input(Path(path)) for path in sorted(others)}
    origin = request | {"inputs": inputs}
    with recorded_origin({} if command.show else origin):
        result = function(**values)
    if command.text and result is not None:  # None in processes that write nothing
        print(_closing(load_function(command.text)(result), name, command, values.get("out")))
    if not command.show:
        return 0
    with recorded_origin(origin):  # which may complete the manifest
        return command.show(result, **shown) or 0


def _closing(text: str, name: str, command: Command, out: str | Path | None) -> str:
    """Return a result's text; its last line says what was done and where the result is."""
    *lines, last = text.split("\n")
    if command.names.get("out") == "json":  # the text itself does not say where
        last += f"; saved to {out}" if out else "; not saved (--json FILE saves it)"
    return "\n".join([*lines, f"{name}: {last}"])


def _explain(message: str, name: str, words: Sequence[str]) -> str:
    """Return tyro's error message, a box with a title, as one line without its copy of the help."""
    lines = [line.strip("│| ") for line in message.splitlines()]
    first = 0 if len(lines) == 1 else 1  # the title repeats what the message says
    text = " ".join(line for line in lines[first:] if line.strip("╰─╯+- "))
    text = re.split(r" (?:Argument helptext:|For full helptext|Got errors:)", text)[0]
    advice = f"`spatialsv {name} --help` describes the arguments."
    if listed := text.partition("Unrecognized options:")[2].partition(" Arguments similar")[0]:
        unknown = [word for word in words if word in listed.replace(",", " ").split()] or [listed]
        _refuse_renamed(name, unknown)
        option = next((word for word in unknown if word.startswith("-")), "").partition("=")[0]
        if not option:
            return f"unexpected argument {unknown[0]!r}. {advice}"
        close = difflib.get_close_matches(option, _options(name, words), n=1)
        return f"unknown option {option}. " + (f"Did you mean {close[0]}?" if close else advice)
    if text.startswith("Missing from"):
        body = message.partition("For full helptext")[0]
        missing = re.findall(r"^[│| ] {5}(\S+)", body, re.MULTILINE)
        return f"missing {', '.join(missing)}. {advice}"
    return text


def _options(name: str, words: Sequence[str]) -> list[str]:
    """Return the names of a command's options, as its help lists them."""
    command, text = find_command(name, words), io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(text):
        parse(load_function(command.target), ["--help"], name, command)
    return re.findall(r"(?<=\s)--\w[\w.-]*\w", text.getvalue())


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


def _print_completion(shell: str = "") -> int:
    from spatialsv.completion import completion_script

    print(completion_script(shell, OPTIONS))
    return 0


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
            *(f"  {name:<24}  {about}" for name, about in OPTIONS.items()),
            "",
            "`spatialsv COMMAND --help` has examples and all options. `make run` runs all stages.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
