"""Config dataclasses from plain mappings; a misspelt key is an error."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")

# Old key -> new key, as full paths of the settings; `*` stands for any one name. An old key is an
# error that names the new one.
RENAMED: dict[str, str] = {
    "arms.blind": "arms.no_image",
    "arms.*.detach": "arms.*.gradient",
    "evaluate.benchmarks.*.scorer": "evaluate.benchmarks.*.protocol",
    "lift.points": "lift.max_points",
    "lift.shown_pixels": "lift.input_pixels",
    "probe.scenes": "probe.max_scenes",
    "report.browser_scenes": "analysis.browser_scenes",
    "report.image_quality": "analysis.image_quality",
    "report.image_side": "analysis.image_side",
    "report.resamples": "analysis.resamples",
    "report.seed": "analysis.seed",
    "report.viewer_points": "analysis.viewer_points",
    "report.viewer_scenes": "analysis.viewer_scenes",
    "scenes.rooms.things": "scenes.rooms.objects",
    "scenes.shard": "scenes.shard_size",
    "train.keep_gib": "train.cache_gib",
    "base.mllm.lessons": "base.mllm.tasks",
    "base.mllm.drills": "base.mllm.letters",
    "base.teacher.loop": "base.teacher.training",
    "base.mllm.tasks.within_until": "base.mllm.tasks.single_view_until",
    "base.mllm.tasks.blinkers": "base.mllm.tasks.view_mask",
    "base.mllm.tasks.lettered_from": "base.mllm.tasks.options_from",
    "base.mllm.tasks.open": "base.mllm.tasks.open_fraction",
    "base.mllm.tasks.without": "base.mllm.tasks.exclude",
    "base.mllm.tasks.drills": "base.mllm.tasks.letters",
    "base.mllm.tasks.drills_alone": "base.mllm.tasks.letters_only",
    "base.*.rooms.things": "base.*.rooms.objects",
    "base.*.*.batch": "base.*.*.batch_size",
    "base.*.*.save_every": "base.*.*.save_steps",
    "base.*.*.log_every": "base.*.*.log_steps",
}


def find_new_key(path: str) -> str | None:
    """Return the new path of a renamed settings key such as `train.old`, or None."""
    steps = path.split(".")
    for old, new in RENAMED.items():
        pattern = old.split(".")
        pairs = list(zip(pattern, steps, strict=False))
        if len(pattern) == len(steps) and all(part in ("*", step) for part, step in pairs):
            names = iter([step for part, step in pairs if part == "*"])
            return ".".join(next(names) if part == "*" else part for part in new.split("."))
    return None


def from_mapping(cls: type[T], mapping: Any, where: str, default: T | None = None) -> T:
    """Build the dataclass `cls` from `mapping`; nested dataclasses from nested mappings.

    A nested dataclass that `mapping` gives in part keeps the rest of its field's default.

    Args:
        cls: a dataclass.
        mapping: settings by name of the field; another type is an error.
        where: the config section, for the messages.
        default: replaces the defaults of the fields.

    Returns:
        An instance of `cls`.

    Raises:
        ValueError: a key that `cls` lacks, a missing one, or a value of the wrong type; the
            message names `where`, the key and its likely spelling.
    """
    if not isinstance(mapping, Mapping):
        raise ValueError(f"{where}: expected a mapping of settings, found {mapping!r}")
    hints = _type_hints(cls)  # type: ignore[arg-type]  # a class is hashable
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]  # T is a dataclass
    for key in mapping:
        if key not in fields:
            if new := find_new_key(f"{where}.{key}"):
                raise ValueError(f"{where}.{key}: this setting was renamed to {new!r}.")
            close = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(fields)}."
            raise ValueError(f"{where}.{key}: unknown setting. {hint}")
    rest = {name: _default(field, default) for name, field in fields.items()}
    for name, value in rest.items():
        if value is dataclasses.MISSING and name not in mapping:
            raise ValueError(f"{where}.{name}: this setting has no default. Set it.")
    given = {
        key: _coerce(value, hints[key], f"{where}.{key}", rest[key])
        for key, value in mapping.items()
    }
    return cls(**rest | given)


@functools.cache
def _type_hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _default(field: dataclasses.Field, default: Any) -> Any:
    if default is not None:
        return getattr(default, field.name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def to_mapping(config: Any) -> dict[str, Any]:
    """Return the JSON-ready mapping that `from_mapping` turns back into `config`."""
    return dataclasses.asdict(config)


def _coerce(value: Any, hint: Any, where: str, default: Any = None) -> Any:
    """Return `value` as the type of `hint`: lists become tuples, ints become floats."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _coerce_union(value, arguments, where, default)
    if origin is typing.Literal:
        if value not in arguments:
            known = ", ".join(map(repr, arguments))
            raise ValueError(f"{where}: expected one of {known}, found {value!r}")
        return value
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_mapping(hint, value, where, default if isinstance(default, hint) else None)
    if origin is tuple:
        return _coerce_tuple(value, arguments, where)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ValueError(f"{where}: expected a mapping, found {value!r}")
        return {k: _coerce(v, arguments[1], f"{where}.{k}") for k, v in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ValueError(f"{where}: expected {hint.__name__}, found {value!r}")
    return value


def _coerce_union(value: Any, options: tuple, where: str, default: Any) -> Any:
    if value is None and type(None) in options:
        return None
    errors = []
    for option in options:
        if option is type(None):
            continue
        try:
            return _coerce(value, option, where, default)
        except ValueError as error:
            errors.append(str(error))
    raise ValueError(errors[0])


def _coerce_tuple(value: Any, arguments: tuple, where: str) -> tuple:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{where}: expected a list, found {value!r}")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_coerce(item, arguments[0], f"{where}[{i}]") for i, item in enumerate(value))
    if len(arguments) != len(value):
        raise ValueError(f"{where}: expected {len(arguments)} values, found {value!r}")
    pairs = zip(value, arguments, strict=True)
    return tuple(_coerce(item, hint, f"{where}[{i}]") for i, (item, hint) in enumerate(pairs))
