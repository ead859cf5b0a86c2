"""Command-line options from the signature of a function and the fields of its config dataclass."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import textwrap
import types
import typing
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import tyro
import tyro.extras
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from spatialsv.config import from_mapping, to_mapping
from spatialsv.io.digests import digest_bytes
from spatialsv.io.jobs import requested_job
from spatialsv.io.text import load_json, load_yaml, parse_json

CONFIG = "config"  # the parameter whose fields are options, and the option that reads a file
Field = tuple[str, Any, Any]  # as dataclasses.make_dataclass takes them
# Help for the parameters that several commands share, where the function itself has none.
HELP = {
    "arm": "name of the training arm",
    "base": "MLLM to fine-tune: `rooms`, the shipped one, or a checkpoint",
    "commercial": "refuse labels whose licence is not known to allow commercial use",
    "config": "YAML or JSON file, or JSON text, with settings; options take precedence",
    "debug": "show the traceback of an error",
    "family": "MODULE:CLASS of an MLLM adapter outside this package; its code is executed",
    "labels": "manifests of labels",
    "model": "manifest of a training job, or folder of a Hugging Face checkpoint",
    "plan": "print memory, disk and time of the run, and train nothing",
    "out": "manifest to write; its payload goes into the same folder",
    "scenes": "manifests of scenes",
    "seed": "seed of the initial weights and of the sample order",
    "shard": "number of the shard",
    "source": "`rooms`, a question format such as `mindcube`, or a capture format",
    "split": "train, unlabelled, validation or test",
    "teacher": "`rooms`: the shipped network; `exact`; folder of a network; or JSON, as an entry"
    " of `teachers` in the settings",
}
_STYLE = (tyro.conf.FlagCreatePairsOff, tyro.conf.PositionalMetavarFromFieldName)
_JSON_RULES = ConstructorRegistry()


@_JSON_RULES.primitive_rule
def _json_rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Read mappings and optional dataclasses, which have no options of their own, from JSON."""
    hint: Any = info.type
    parts = [hint, *typing.get_args(hint)] if _is_union(hint) else [hint]
    if not any(part is Any or typing.get_origin(part) is dict for part in parts) and not (
        _is_union(hint) and any(map(dataclasses.is_dataclass, parts))
    ):
        return None

    def read(words: list[str]) -> Any:
        value = json.loads(words[0])
        box = dataclasses.make_dataclass("Box", [("value", hint)])
        try:
            return from_mapping(box, {"value": value}, "").value
        except ValueError as error:
            raise ValueError(str(error).removeprefix(".value").lstrip(".: ")) from None

    def write(value: Any) -> list[str]:
        return [json.dumps(value, default=to_mapping)]

    return PrimitiveConstructorSpec(1, "JSON", read, lambda value: True, write)


@dataclasses.dataclass(frozen=True)
class Command:
    """A command: the function that it calls and how its parameters appear as options."""

    summary: str
    target: str  # module:function, without `spatialsv.`
    positional: tuple[str, ...] = ()  # parameters given without a name
    inputs: tuple[str, ...] = ()  # options of paths that exist; see `paths.check_paths`
    outputs: tuple[str, ...] = ()  # options of files to write, besides `out`
    examples: tuple[str, ...] = ()  # words that follow the command
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)  # parameter -> option
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of parameters without
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # accepted, not passed on
    text: str | None = None  # module:function that formats the result, which is then printed
    show: Callable[..., int | None] | None = None  # prints; its own parameters are options


def parse(
    function: Callable[..., Any], words: Sequence[str], name: str, command: Command
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parse a command's words into keyword arguments for `function`.

    Each parameter is an option, with the help of the docstring's `Args`. Each field of the
    dataclass that annotates the parameter `config` is an option as well, with the help of the
    field's comment.

    Args:
        function: is called later with the returned arguments.
        words: the command line after the command.
        name: the command's name, which is that of the section of the settings.
        command: how parameters appear as options.

    Returns:
        The arguments of `function`, and those of `show`.

    Raises:
        ValueError: `--config` cannot be read or has an invalid setting.
        SystemExit: help was requested (0) or an option is invalid (2).
    """
    box, own = _arguments(function, words, name, command)
    parsed: Any = tyro.cli(
        box,
        prog=f"spatialsv {name}",
        description=_description(function, name, command),
        args=list(words),
        registry=_JSON_RULES,
        config=_STYLE,
    )
    values = {field.name: getattr(parsed, field.name) for field in dataclasses.fields(box)}
    shown = {key: values.pop(key) for key in list(values) if key not in own}
    for key in ("config_file", *command.fixed):
        values.pop(key, None)
    return values, shown


def option_parser(function: Callable[..., Any], name: str, command: Command) -> Any:
    """Return an `argparse.ArgumentParser` with the options of a command, to derive completion."""
    box, _ = _arguments(function, (), name, command)
    # Deprecated, but the completion that tyro offers instead knows no files of positionals.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return tyro.extras.get_parser(box, prog=name, registry=_JSON_RULES, config=_STYLE)


def _arguments(
    function: Callable[..., Any], words: Sequence[str], name: str, command: Command
) -> tuple[type, list[str]]:
    """Return the dataclass that tyro reads, and the names of its fields that are not `show`'s."""
    hints = typing.get_type_hints(function)
    documented = function.__doc__ or ""
    fields = [
        _field(key, key, type(value), value, HELP.get(key)) for key, value in command.fixed.items()
    ]
    for key, parameter in inspect.signature(function).parameters.items():
        if key == CONFIG:
            fields += _config_fields(_config_class(hints[key]), words, name)
            continue
        option = command.names.get(key, key)
        about = None if f"{key}: " in documented else HELP.get(option)
        default = command.defaults.get(key, _default(parameter, hints[key]))
        positional = key in command.positional
        fields.append(_field(key, option, _plain(hints[key]), default, about, positional))
    own = [field[0] for field in fields]
    if command.show:
        hints = typing.get_type_hints(command.show)
        for key, parameter in list(inspect.signature(command.show).parameters.items())[1:]:
            fields.append(_field(key, key, hints[key], parameter.default))
    box = dataclasses.make_dataclass("Arguments", fields, kw_only=True)
    box.__doc__ = function.__doc__
    return box, own


def _description(function: Callable[..., Any], name: str, command: Command) -> str:
    """Return the docstring's first paragraph and the command's examples."""
    about = inspect.cleandoc(function.__doc__ or "").partition("\n\n")[0]
    wrapper = textwrap.TextWrapper(76, break_long_words=False, break_on_hyphens=False)
    lines = (wrapper.wrap(f"  spatialsv {name} {words}") for words in command.examples)
    return "\n".join([about, "", "Examples:", *map(" \\\n      ".join, lines)])


@contextmanager
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
    words = load_json(Path(word[1:]))
    if not isinstance(words, list) or not all(isinstance(one, str) for one in words):
        raise ValueError(f"{word[1:]}: expected a JSON list of words, as {word} stands for one.")
    return words


def _config_fields(cls: type, words: Sequence[str], command: str) -> list[Field]:
    """Return `--config` itself and the fields of the dataclass, with the file's as defaults."""
    text = ""
    for word, following in zip(words, [*words, ""][1:], strict=True):
        if word == f"--{CONFIG}" or word.startswith(f"--{CONFIG}="):
            text = word.partition("=")[2] or following
    default: Any = from_mapping(cls, _read_settings(text) if text else {}, command)
    source = _field("config_file", CONFIG, str, "", HELP[CONFIG], metavar="FILE|JSON")
    return [source, _field(CONFIG, "", cls, default)]


def _read_settings(text: str) -> Mapping[str, Any]:
    """Return the settings of `--config`: JSON text, or a file of YAML or JSON."""
    try:
        if text.lstrip().startswith("{"):
            return parse_json(text, "JSON text")
        path = Path(text)
        return load_json(path) if text.endswith(".json") else load_yaml(path)
    except ValueError as error:
        raise ValueError(f"--config: {error}") from None


def _field(
    name: str,
    option: str,
    hint: Any,
    default: Any,
    about: str | None = None,
    positional: bool = False,
    metavar: str | None = None,
) -> Field:
    """Return a dataclass field that tyro turns into the option of this name."""
    empty = "(default: none)" if default in ((), "") else None
    how = tyro.conf.arg(name=option, help=about, metavar=metavar, help_behavior_hint=empty)
    annotation: Any = Annotated[hint, how]
    if positional:
        annotation = Annotated[annotation, tyro.conf.Positional]
    if default is inspect.Parameter.empty:
        return name, annotation, dataclasses.field()
    return name, annotation, dataclasses.field(default_factory=lambda: default)


def _default(parameter: inspect.Parameter, hint: Any) -> Any:
    """Return a parameter's default; lists may be left out, and so may what can be None."""
    if parameter.default is not inspect.Parameter.empty:
        return parameter.default
    if typing.get_origin(hint) in _LISTS:
        return ()
    return None if type(None) in typing.get_args(hint) else inspect.Parameter.empty


_LISTS = (Sequence, Iterable, Collection, tuple, list)


def _plain(hint: Any) -> Any:
    """Return a type that can be read from words: tuples for lists, str for `str | Path`."""
    if typing.get_origin(hint) in _LISTS:
        return tuple[_plain(typing.get_args(hint)[0]), ...]  # type: ignore[misc]  # at run time
    if _is_union(hint) and str in typing.get_args(hint):
        return str | None if type(None) in typing.get_args(hint) else str
    return hint


def _config_class(hint: Any) -> type:
    """Return the dataclass of an annotation such as `LiftImagesConfig | None`."""
    parts = (hint, *typing.get_args(hint))
    return next(part for part in parts if isinstance(part, type) and dataclasses.is_dataclass(part))


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)
