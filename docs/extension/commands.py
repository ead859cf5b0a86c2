"""The help of every command, as the program prints it."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator

from extension.markdown import MarkdownDirective
from spatialsv.cli import main
from spatialsv.commands import COMMANDS

COLUMNS = 90
VARIANTS = {  # of commands whose options select what they do
    "scenes": ("scenes --source llava", "scenes --source llava"),
    "train": ("train --plan", "train --plan"),
    "lift": ("lift --scenes", "lift --scenes scenes.json"),
}


class CommandHelp(MarkdownDirective):
    """The directive `commands`."""

    def markdown(self) -> str:
        """Return the overview and one section for each command."""
        return "\n".join(self.sections())

    def sections(self) -> Iterator[str]:
        """Return the overview, then each command."""
        yield _block(capture(["--help"]))
        for name, command in COMMANDS.items():
            yield f"## `{name}`\n\n{command.summary[:1].upper()}{command.summary[1:]}.\n"
            yield _block(capture([name, "--help"]))
            if name in VARIANTS:
                title, words = VARIANTS[name]
                yield f"### `{title}`\n"
                yield _block(capture([*words.split(), "--help"]))


def capture(words: list[str]) -> str:
    """Return what a command prints with `--help`, at a fixed width and without colours."""
    printed = io.StringIO()
    before = dict(os.environ)
    os.environ |= {"COLUMNS": str(COLUMNS), "NO_COLOR": "1"}
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main(words)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return printed.getvalue()


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"
