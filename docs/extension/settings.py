"""Tables of the settings: keys and types from the schema, defaults and meanings from the code.

The meaning of a setting is its help on the command line: the comment at the field of the config
dataclass. Settings that only the workflow reads are described in the schema itself.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from tyro._docstrings import get_field_docstring  # what `--help` prints; tyro has no public way

from extension.markdown import MarkdownDirective, code, table
from schemas.write_schema import STAGES, load_class, schema

ROOT = Path(__file__).parents[2]
OTHERS = {  # sections without a stage, and the dataclass of an entry
    "arms": "spatialsv.train.arm:ArmConfig",
    "teachers": "spatialsv.teachers.config:TeacherConfig",
    "measure": None,
    "models": None,
    "needs": None,
}
NESTED = {"scenes.read": "spatialsv.scenes.readers.config:ReadConfig"}
HEAD = ("Key", "Type", "Default", "Meaning")
NAME = "NAME"  # stands for any name in a path
Node = Mapping[str, Any]
MISSING = dataclasses.MISSING


class Settings(MarkdownDirective):
    """The directive `settings SECTION`."""

    required_arguments = 1

    def markdown(self) -> str:
        """Return one table for the section and one for each mapping within it."""
        section = self.arguments[0]
        node = _all()["properties"][section]
        target = (STAGES | OTHERS)[section]
        cls = load_class(target) if target else None
        return "\n".join(Section(section, node, cls, load_defaults().get(section)).lines())


@cache
def _all() -> dict[str, Any]:
    return schema()


@cache
def load_defaults() -> dict[str, Any]:
    """Return the settings of default.yaml."""
    return yaml.safe_load((ROOT / "workflow/config/default.yaml").read_text())


@dataclasses.dataclass(frozen=True)
class Section:
    """A mapping of the settings: its place, what may stand in it, and what does by default."""

    path: str
    node: Node
    cls: type | None  # the dataclass of its fields, if it has one
    given: Mapping[str, Any] | None  # in default.yaml
    meaning: str = ""

    def nested(self, key: str) -> Section | None:
        """Return the mapping below `key`, or None if that is a single setting."""
        child = self.node["properties"][key]
        inner = _inner(child)
        if "description" in child or "properties" not in _entry(inner):
            return None
        path = f"{self.path}.{key}"
        value = (self.given or {}).get(key)
        meaning = _meaning(self.cls, key, child) if key in _fields(self.cls) else ""
        if inner is not child:
            meaning += "; default `null`"
        given = value if isinstance(value, Mapping) else None
        return Section(path, inner, _class_of(self.cls, key, path), given, meaning)

    def row(self, key: str) -> tuple[str, str, str, str]:
        """Return the line of the table about a single setting."""
        child = self.node["properties"][key]
        default = _default(_fields(self.cls).get(key), (self.given or {}).get(key, MISSING))
        if key in self.node.get("required", ()):
            default = "required"
        return code(key), _type(child), default, _meaning(self.cls, key, child)

    def lines(self, level: int = 2) -> Iterator[str]:
        """Return the text about this mapping and those within it."""
        if (entry := _entry(self.node)) is not self.node:  # any names
            named = Section(f"{self.path}.{NAME}", entry, self.cls, None, self.meaning)
            yield from named.lines(level)
            return
        keys = {key: self.nested(key) for key in self.node["properties"]}
        yield f"{'#' * level} `{self.path}`\n"
        if self.meaning:
            yield f"{self.meaning[:1].upper()}{self.meaning[1:]}.\n"
        if text := _about(self.cls):
            yield f"{text}\n"
        if rows := [self.row(key) for key, section in keys.items() if section is None]:
            yield table(HEAD, rows)
        for section in filter(None, keys.values()):
            yield from section.lines(min(level + 1, 4))


def _inner(node: Node) -> Node:
    """Return the mapping of a node that also allows null, else the node."""
    return next((option for option in node.get("anyOf", ()) if "properties" in option), node)


def _entry(node: Node) -> Node:
    """Return the node of an entry, if the node is a mapping from any names."""
    entry = node.get("additionalProperties")
    return entry if isinstance(entry, Mapping) and "properties" in entry else node


def _fields(cls: type | None) -> dict[str, dataclasses.Field]:
    return {} if cls is None else {field.name: field for field in dataclasses.fields(cls)}


def _class_of(cls: type | None, key: str, path: str) -> type | None:
    """Return the dataclass of a nested mapping, if it has one."""
    if path in NESTED:
        return load_class(NESTED[path])
    if path == "evaluate.benchmarks":  # an entry has the settings of the stage
        return cls
    hint = typing.get_type_hints(cls)[key] if cls and key in _fields(cls) else None
    options = (hint, *typing.get_args(hint))
    return next((o for o in options if isinstance(o, type) and dataclasses.is_dataclass(o)), None)


def _about(cls: type | None) -> str:
    """Return what a dataclass's docstring says before its sections."""
    text = inspect.getdoc(cls) or "" if cls else ""
    return text.partition("\n\nRaises:")[0].partition("\n\nAttributes:")[0]


def _type(node: Node) -> str:
    """Return a schema's type in words."""
    if "enum" in node:
        return ", ".join(code(_yaml(value)) for value in node["enum"])
    if options := node.get("anyOf") or node.get("oneOf"):
        types = [_type(option) for option in options]
        return " or ".join(types).replace(f"mapping to {types[0]}", "a mapping to these")
    kinds = node.get("type", [])
    return " or ".join(_kind(kind, node) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _kind(kind: str, node: Node) -> str:
    if kind == "array":
        items = node.get("prefixItems") or [node.get("items", {})]
        count = f"list of {len(items)}" if "prefixItems" in node else "list of"
        return f"{count} {_plural(_type(items[0]))}"
    if kind == "object":
        entry = node.get("additionalProperties")
        of = f" to {_type(entry)}" if isinstance(entry, Mapping) and _type(entry) else ""
        return f"mapping{of}"
    return {"null": "`null`", "string": "text"}.get(kind, kind)


def _plural(kind: str) -> str:
    return f"{kind}s" if kind in ("integer", "number") else kind or "any"


def _default(field: dataclasses.Field | None, value: Any) -> str:
    """Return the default in the workflow, and that of the command where it differs."""
    own: Any = MISSING
    if field is not None:
        made = field.default_factory
        own = field.default if made is MISSING else made()
    if value is MISSING:
        return "required" if own is MISSING and field else _code(own)
    if own is MISSING or _yaml(own) == _yaml(value):
        return _code(value)
    return f"{_code(value)}; {_code(own)} on the command line"


def _code(value: Any) -> str:
    return "" if value is MISSING else code(_yaml(value))


def _yaml(value: Any) -> str:
    """Return a value as it is written in a file of settings."""
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, tuple):
        value = list(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...").strip()


def _meaning(cls: type | None, key: str, node: Node) -> str:
    """Return what a setting means.

    Raises:
        ValueError: code and schema do not say it.
    """
    text = node.get("description")
    if text is None and cls is not None and key in _fields(cls):
        text = get_field_docstring(cls, key, ())
    if not text:
        raise ValueError(
            f"{cls and cls.__qualname__}: {key} has no comment that says what it means."
        )
    return re.sub(r"\bNone\b", "`null`", text)
