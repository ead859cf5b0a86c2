"""The table of commands: help pages, examples, settings and inputs of each."""

from __future__ import annotations

import dataclasses
import re
import shlex
import typing
from collections.abc import Iterable, Sequence

import pytest

from spatialsv.cli import main
from spatialsv.commands import COMMANDS, VARIANTS, find_command, load_function
from spatialsv.options import Command, parse

EXAMPLES = [(name, words) for name, command in COMMANDS.items() for words in command.examples]
ENTRIES = [*COMMANDS.items(), *VARIANTS.items()]
# Options with paths that need not exist.
NOT_INPUTS = {
    "out": "made by the command",
    "spare": "kept where they exist",
    "within": "a folder to clear",
    "benchmarks": "jobs write them, which may be in progress",
    "json": "made by the command",
}


def hints_of(command: Command) -> dict[str, typing.Any]:
    """Return the types of the parameters of a command's function."""
    hints = typing.get_type_hints(load_function(command.target))
    return {key: hint for key, hint in hints.items() if key != "return"}


def help_of(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert not stop.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_usage_with_positional_arguments_examples_and_defaults(name, capsys):
    for example in COMMANDS[name].examples:
        words = shlex.split(example)
        command, selecting = find_command(name, words), []
        if command is not COMMANDS[name]:
            known = ("--source", "mindcube", "--plan", "--protocol", "all")
            selecting = [w for w in words if w in known or w.endswith(".zip")] or ["--scenes"]
        text = help_of(capsys, name, *selecting)
        usage = text.split("\n\n")[0]
        assert usage.startswith(f"usage: spatialsv {name} ")
        assert all(argument.upper() in usage for argument in command.positional)
        assert f"Examples: spatialsv {name} " in " ".join(text.split())
        assert f" spatialsv {name} {example} " in " ".join(text.replace("\\\n", "").split())
        assert "(fixed to" not in text and "noqa" not in text  # a type that tyro cannot parse
        listed = text.partition("Examples:")[2].partition("\n\n")[2]
        options = re.findall(r"^\W*(--\w\S*)", listed, re.MULTILINE)
        words = " ".join(re.sub("[│|]", " ", listed).split())
        assert words.count("(default: ") + words.count("(required)") >= len(options)
        assert ("config" not in hints_of(command)) or "--config FILE|JSON" in text


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=map(" ".join, EXAMPLES))
def test_examples_parse(name, example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(example)
    for word in words:
        if word.endswith(".yaml"):
            (tmp_path / word).write_text("{}")
    command = find_command(name, words)
    values, _ = parse(load_function(command.target), words, name, command)
    assert values


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_up_to_three_examples(name):
    assert 1 <= len(COMMANDS[name].examples) <= 3


@pytest.mark.parametrize(("name", "command"), ENTRIES)
def test_settings_are_read_from_config(name, command):
    parts = {key: [hint, *typing.get_args(hint)] for key, hint in hints_of(command).items()}
    settings = [key for key, types in parts.items() if any(map(dataclasses.is_dataclass, types))]
    assert settings in ([], ["config"])


@pytest.mark.parametrize(("name", "command"), ENTRIES)
def test_all_parameters_with_paths_are_checked(name, command):
    hints = {command.names.get(key, key): hint for key, hint in hints_of(command).items()}
    declared = {name.rstrip("*?").replace("-", "_"): name[-1] for name in command.inputs}
    paths = {key for key, hint in hints.items() if "Path" in str(hint)} - NOT_INPUTS.keys()
    paths -= set(command.outputs)
    assert paths <= declared.keys()
    for key in declared.keys() & hints.keys():
        several = typing.get_origin(hints[key]) in (Sequence, Iterable)
        assert several == (declared[key] == "*"), key
    assert declared.keys() - hints.keys() <= ({"data"} if name == "compare" else set())
