"""Shell completion of commands, options, choices and files, as a script that imports nothing."""

from __future__ import annotations

from argparse import ArgumentParser

import shtab

from spatialsv.commands import COMMANDS, VARIANTS, load_function
from spatialsv.options import option_parser

SHELLS = ("bash", "zsh", "fish")


def completion_script(shell: str, options: dict[str, str]) -> str:
    """Return the script that completes `spatialsv` in a shell.

    All commands are imported to write it, which takes some seconds.

    Args:
        shell: one of `SHELLS`.
        options: the options without a command, with their help.

    Returns:
        The script.

    Raises:
        ValueError: no script can be written for this shell.
    """
    if shell not in SHELLS:
        raise ValueError(f"expected one of {', '.join(SHELLS)}, found {shell!r}.")
    parser = ArgumentParser("spatialsv")
    for option, about in options.items():
        parser.add_argument(option.partition(" ")[0], help=about, action="store_true")
    subparsers = parser.add_subparsers()
    for name, command in COMMANDS.items():
        arguments = option_parser(load_function(command.target), name, command)
        if variant := VARIANTS.get(name):
            _add_options(arguments, option_parser(load_function(variant.target), name, variant))
        subparsers.add_parser(name, help=command.summary, parents=[arguments], add_help=False)
    return shtab.complete(parser, shell)


def _add_options(parser: ArgumentParser, other: ArgumentParser) -> None:
    """Add the options of another parser, but for those that `parser` has."""
    for action in other._actions:
        if (
            action.option_strings
            and not parser._option_string_actions.keys() & action.option_strings
        ):
            parser._add_action(action)
