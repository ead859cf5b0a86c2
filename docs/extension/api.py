"""Public names of the package, documented from their docstrings, comments and annotations."""

from __future__ import annotations

import dataclasses
import inspect
from importlib import import_module
from typing import Any

from sphinx.application import Sphinx
from tyro._docstrings import get_field_docstring  # one way to find a field's comment

from extension.markdown import MarkdownDirective

PACKAGE = "spatialsv"


class PythonApi(MarkdownDirective):
    """The directive `python-api NAME ...`, names relative to the package."""

    required_arguments = 1
    optional_arguments = 50

    def markdown(self) -> str:
        """Return an autodoc directive for each name."""
        lines = ["```{eval-rst}"]
        for name in self.arguments:
            module, _, last = f"{PACKAGE}.{name}".rpartition(".")
            if inspect.isclass(getattr(import_module(module), last)):
                lines += [f".. autoclass:: {PACKAGE}.{name}", "   :members:", ""]
            else:
                lines += [f".. autofunction:: {PACKAGE}.{name}", ""]
        return "\n".join([*lines, "```"])


def add_fields(
    app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    """Append the comments at a dataclass's fields, unless the docstring describes these."""
    if what != "class" or not isinstance(value, type) or not dataclasses.is_dataclass(value):
        return
    if {"Args:", "Attributes:"} & {line.strip() for line in lines}:
        return
    comments = {
        field.name: get_field_docstring(value, field.name, ())
        for field in dataclasses.fields(value)
        if field.init
    }
    if any(comments.values()):
        own = [f"    {field}: {' '.join(text.split())}" for field, text in comments.items() if text]
        lines[:] = [*lines, "", "Args:", *own, ""]
