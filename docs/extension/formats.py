"""Tables of the file formats: fields of records, variables of stores, columns of tables."""

from __future__ import annotations

import dataclasses
import json
import typing
from pathlib import Path
from typing import Any

from tyro._docstrings import get_field_docstring  # one way to find a field's comment

from extension.markdown import MarkdownDirective, code, table
from schemas.write_schema import load_class
from spatialsv.scenes.store.encoding import DIMS, LENGTHS, LONG_NAMES

PACKAGE = Path(__file__).parents[2] / "src/spatialsv/analysis/datapackage.json"


class Fields(MarkdownDirective):
    """The directive `fields MODULE:DATACLASS [NAME ...]`, with some or all fields of a record."""

    required_arguments = 1
    optional_arguments = 50

    def markdown(self) -> str:
        """Return a table of the fields."""
        target, *names = self.arguments
        cls = load_class(target)
        hints = typing.get_type_hints(cls)
        rows = [
            (
                code(field.name),
                code(_name(hints[field.name])),
                _default(field),
                _meaning(cls, field),
            )
            for field in dataclasses.fields(cls)
            if not names or field.name in names
        ]
        return table(("Field", "Type", "Default", "Meaning"), rows)


class Variables(MarkdownDirective):
    """The directive `variables`: those of a store of scenes or labels."""

    def markdown(self) -> str:
        """Return a table of the variables."""
        rows = [
            (
                code(name),
                code(", ".join(dims)),
                "the store's" if name in LENGTHS else "",
                LONG_NAMES[name],
            )
            for name, dims in DIMS.items()
        ]
        return table(("Variable", "Dimensions", "Unit", "Meaning"), rows)


class Tables(MarkdownDirective):
    """The directive `tables`: all columns of the tables of the analysis."""

    def markdown(self) -> str:
        """Return one section for each table."""
        parts = []
        for resource in json.loads(PACKAGE.read_text())["resources"]:
            columns = resource["schema"]["fields"]
            rows = [(code(c["name"]), c["type"], c["description"]) for c in columns]
            parts += [f"### `{resource['path']}`\n", f"{resource['description']}\n"]
            parts += [table(("Column", "Type", "Meaning"), rows)]
        return "\n".join(parts)


def _name(hint: Any) -> str:
    """Return a type as it is written in the code, without the modules' names."""
    text = hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)
    return text.replace("typing.", "").replace("pathlib.", "")


def _default(field: dataclasses.Field) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return code(json.dumps(field.default_factory()))
    return "required" if field.default is dataclasses.MISSING else code(json.dumps(field.default))


def _meaning(cls: type, field: dataclasses.Field) -> str:
    """Return what a field means.

    Raises:
        ValueError: the code does not say it.
    """
    text = get_field_docstring(cls, field.name, ())
    if not text:
        raise ValueError(
            f"{cls.__qualname__}: {field.name} has no comment that says what it means."
        )
    return text
