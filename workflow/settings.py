"""The settings of a run: an overlay merged over default.yaml, checked against the schema.

Plain functions without Snakemake, so that tests can call them; `rules/common.smk` does.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from spatialsv.config import find_new_key

CONFIG = Path("workflow/config")
RUN_KEYS = ("overlay", "also", "adopt")  # of run.yaml or the command line; the rest are settings
SCHEMA = Path("workflow/schemas/config.schema.yaml")
BUILT_IN_MODELS = ("rooms", "own")  # shipped, or made by the rules of base.smk
COMMAND_LINE = "snakemake --config"


def load_settings(root: Path, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that `chosen` selects, complete and checked.

    Args:
        root: the repository.
        chosen: the keys of run.yaml (`overlay`, the name of a file in workflow/config), and
            settings from the command line, which take precedence over both files.

    Returns:
        The settings by section.

    Raises:
        ValueError: a file is missing, keys are unknown or missing, or values have the wrong type;
            the message lists all errors, one a line, each with its file and line.
    """
    overlay = chosen.get("overlay", "default")
    files = [root / CONFIG / "default.yaml"]
    if overlay != "default":
        files.append(root / CONFIG / f"{overlay}.yaml")
    if not files[-1].is_file():
        known = sorted(path.stem for path in (root / CONFIG).glob("*.yaml"))
        known.remove("run")
        raise ValueError(
            f"overlay {overlay!r}: no file {files[-1]}. Known overlays: {', '.join(known)}."
        )
    schema = yaml.safe_load((root / SCHEMA).read_text())
    layers, errors = [], []
    for path in files:
        text = path.read_text()
        layers.append(_without_empty(yaml.safe_load(text)))
        errors += layer_errors(layers[-1], schema, path.relative_to(root), yaml.compose(text))
    given = {key: _parse(value) for key, value in chosen.items() if key not in RUN_KEYS}
    layers.append(_without_empty(given))
    errors += layer_errors(layers[-1], schema, COMMAND_LINE)
    settings: dict[str, Any] = {}
    if not errors:
        for layer in layers:
            settings = merge(settings, layer)
        errors = [
            f"overlay {overlay!r}: {_dotted(error.absolute_path)}{error.message}"
            for error in Draft202012Validator(schema).iter_errors(settings)
        ]
    if errors:
        raise ValueError("\n".join(errors))
    return add_model(settings)


def _without_empty(layer: Any) -> Any:
    """Return a layer without sections that have no settings, such as a line `train:`."""
    if not isinstance(layer, Mapping):
        return layer or {}
    return {name: section for name, section in layer.items() if section is not None}


def _parse(given: Any) -> Any:
    """Return a value of the command line, in which Snakemake leaves 60, true and null as text."""
    if isinstance(given, Mapping):
        return {key: _parse(value) for key, value in given.items()}
    if isinstance(given, list):
        return [_parse(value) for value in given]
    return yaml.safe_load(given) if isinstance(given, str) else given


def add_model(settings: dict[str, Any]) -> dict[str, Any]:
    """Return `settings` with those of the model that `train.base` names added to `train`.

    The model's recipe that `train.recipe` names, if any, takes precedence over these.

    Args:
        settings: merged settings.

    Returns:
        New settings.

    Raises:
        ValueError: the model or recipe is unknown.
    """
    base, recipe = settings["train"]["base"], settings["train"].get("recipe")
    models = settings["models"]
    if base not in (*BUILT_IN_MODELS, *models):
        known = ", ".join([*BUILT_IN_MODELS, *models])
        raise ValueError(f"train.base: unknown model {base!r}. Known models: {known}.")
    model = models.get(base, {})
    recipes = model.get("recipes", {})
    if recipe is not None and recipe not in recipes:
        known = ", ".join(recipes) or "none"
        raise ValueError(f"train.recipe: {base} has no recipe {recipe!r}. Known recipes: {known}.")
    train = merge(settings["train"], model.get("train", {}))
    return settings | {"train": merge(train, recipes.get(recipe, {}))}


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` updated with `over`, mapping by mapping; null removes a mapping."""
    merged = dict(base)
    for key, value in over.items():
        below = base.get(key)
        if isinstance(below, Mapping) and value is None:
            del merged[key]
        elif isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(below, value)
        else:
            merged[key] = value
    return merged


def layer_errors(
    layer: Any, schema: Mapping[str, Any], where: Path | str, node: yaml.Node | None = None
) -> list[str]:
    """Return the errors of one layer, in which keys may be missing.

    Args:
        layer: settings of one file or of the command line.
        schema: the JSON schema.
        where: the file, for the messages.
        node: the parsed file, for its line numbers.

    Returns:
        Messages with file, line and suggestion.
    """
    errors = []
    for path in _key_paths(layer):
        if new := find_new_key(".".join(path)):
            name = ".".join(path)
            errors.append(f"{_locate(where, node, path)}: {name} was renamed to {new}.")
    for error in Draft202012Validator(schema).iter_errors(layer):
        if error.validator not in ("required", "dependentRequired"):
            errors += _explain(error, where, node)
    return errors


def _key_paths(layer: Any, above: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """Yield the path of every key of a layer, such as ["train", "heads", "taps"]."""
    if isinstance(layer, Mapping):
        for key, value in layer.items():
            yield [*above, str(key)]
            yield from _key_paths(value, (*above, str(key)))


def _explain(error: ValidationError, where: Path | str, node: yaml.Node | None) -> Iterator[str]:
    """Yield the messages of an error of the schema; of alternatives, that of the nearest one."""
    error = best_match([error]) or error
    path = list(error.absolute_path)
    if error.validator == "enum":
        known: Any = error.validator_value
        close = difflib.get_close_matches(str(error.instance), map(str, known), n=1)
        hint = f". Did you mean {close[0]!r}?" if close else ""
        yield f"{_locate(where, node, path)}: {_dotted(path)}{error.message}{hint}"
        return
    if error.validator != "additionalProperties":
        yield f"{_locate(where, node, path)}: {_dotted(path)}{error.message}"
        return
    schema: Any = error.schema
    known = schema.get("properties", {})
    instance: Any = error.instance
    for key in instance:
        if key not in known and not find_new_key(".".join(map(str, [*path, key]))):
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}."
            name = ".".join(map(str, [*path, key]))
            yield f"{_locate(where, node, [*path, key])}: unknown setting {name!r}. {hint}"


def _dotted(path: Iterable[Any]) -> str:
    name = ".".join(map(str, path))
    return f"{name}: " if name else ""


def _locate(where: Path | str, node: yaml.Node | None, path: list[Any]) -> str:
    """Return `file:line` of the key or item that `path` leads to."""
    line = None
    for step in path:
        if isinstance(node, yaml.MappingNode):
            pairs = [pair for pair in node.value if pair[0].value == str(step)]
            if not pairs:
                break
            line, node = pairs[-1][0].start_mark.line + 1, pairs[-1][1]
        elif isinstance(node, yaml.SequenceNode):
            node = node.value[step]
            line = node.start_mark.line + 1
    return f"{where}:{line}" if line else str(where)
