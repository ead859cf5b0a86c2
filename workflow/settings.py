"""The settings of a run: an overlay merged over default.yaml, checked against the schema.

Plain functions without Snakemake, so that tests can call them; `rules/common.smk` does.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from spatialsv.benchmarks.names import benchmark
from spatialsv.benchmarks.score import rules_of
from spatialsv.config import find_new_key, from_mapping
from spatialsv.scenes.licence import check_licence
from spatialsv.teachers.config import TeacherConfig

CONFIG = Path("workflow/config")
RUN = ("overlay", "also")  # what run.yaml says; the rest are settings
SCHEMA = Path("workflow/schemas/config.schema.yaml")
IN_HOUSE = ("rooms", "own")  # models that are shipped, or made by the rules of base.smk
OWN_TEACHERS = ("rooms", "exact", "own")
COMMAND_LINE = "snakemake --config"
PUBLISHED = "put there what the benchmark's authors publish, unpacked"


def load_settings(root: Path, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that `chosen` selects, complete and checked.

    Args:
        root: the repository.
        chosen: what run.yaml says (`overlay`, the name of a file in workflow/config), and settings
            from the command line, which win over both files.

    Raises:
        ValueError: a file is missing, a key is unknown, a value has the wrong type; the message
            starts with file and line.
    """
    overlay = chosen.get("overlay", "default")
    files = [root / CONFIG / "default.yaml"]
    if overlay != "default":
        files.append(root / CONFIG / f"{overlay}.yaml")
    if not files[-1].is_file():
        known = sorted(path.stem for path in (root / CONFIG).glob("*.yaml"))
        known.remove("run")
        raise ValueError(f"overlay {overlay!r}: no {files[-1]}; there are {', '.join(known)}")
    schema = yaml.safe_load((root / SCHEMA).read_text())
    settings: dict[str, Any] = {}
    for path in files:
        text = path.read_text()
        layer = yaml.safe_load(text) or {}
        check(layer, schema, path.relative_to(root), yaml.compose(text))
        settings = merge(settings, layer)
    given = {key: _read(value) for key, value in chosen.items() if key not in RUN}
    check(given, schema, COMMAND_LINE)
    settings = merge(settings, given)
    for error in Draft202012Validator(schema).iter_errors(settings):
        raise ValueError(f"overlay {overlay!r}: {_dotted(error.absolute_path)}{error.message}")
    return with_model(settings)


def _read(given: Any) -> Any:
    """A value of the command line, in which Snakemake leaves 60, true and null as words."""
    if isinstance(given, Mapping):
        return {key: _read(value) for key, value in given.items()}
    if isinstance(given, list):
        return [_read(value) for value in given]
    return yaml.safe_load(given) if isinstance(given, str) else given


def with_model(settings: dict[str, Any]) -> dict[str, Any]:
    """`settings` with what `models` says of the one that `train.base` names laid upon `train`.

    On top of it comes the one of the model's recipes that `train.recipe` names, if any.

    Raises:
        ValueError: there is no such model or recipe.
    """
    base, recipe = settings["train"]["base"], settings["train"].get("recipe")
    models = settings["models"]
    if base not in (*IN_HOUSE, *models):
        known = ", ".join([*IN_HOUSE, *models])
        raise ValueError(f"train.base: no model {base!r}; known: {known}")
    model = models.get(base, {})
    recipes = model.get("recipes", {})
    if recipe is not None and recipe not in recipes:
        known = ", ".join(recipes) or "none"
        raise ValueError(f"train.recipe: {base} has no recipe {recipe!r}; known: {known}")
    train = merge(settings["train"], model.get("train", {}))
    return settings | {"train": merge(train, recipes.get(recipe, {}))}


def outside(
    root: Path, settings: Mapping[str, Any], arms: Iterable[str]
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """What a run of `arms` needs that no rule makes, and what this version cannot do for it.

    Returns: name -> `path` and `get`, how to come by it; and sentences.
    """
    needs = dict(settings["needs"])
    lacks = []
    if model := settings["models"].get(settings["train"]["base"]):
        path, hub, revision = model["path"], model["hub"], model["revision"]
        get = f"hf download {hub} --revision {revision} --local-dir {path}"
        needs = {f"the MLLM {hub}": {"path": path, "get": get}, **needs}
        if (family := model.get("family")) and not adapter_files(family):
            lacks.append(
                f"models.{settings['train']['base']}.family: no module of {family} on Python's path"
                " (PYTHONPATH)"
            )
    lacks += _too_deep(root, settings, arms)
    for split, place in settings["scenes"].get("read", {}).get("files", {}).items():
        here = source_of(settings, split) == "rooms" or (root / place).exists()
        if settings["scenes"]["splits"].get(split) and not here:
            lacks.append(f"scenes.read.files.{split}: no {place}")
    for name, asked in settings["evaluate"].get("benchmarks", {}).items():
        needs[f"benchmark {name}"] = {"path": asked["data"], "get": asked.get("get", PUBLISHED)}
        try:
            rules_of(name, benchmark(name), asked.get("scorer"))
        except ValueError as error:
            lacks.append(f"evaluate.benchmarks.{error}")
    commercial = settings["labels"].get("commercial", False)
    asked = {"labels.teacher": settings["labels"]["teacher"]}
    for arm in arms:
        if teacher := settings["arms"].get(arm, {}).get("teacher"):
            asked[f"arms.{arm}.teacher"] = teacher
    for setting, teacher in asked.items():
        if teacher in OWN_TEACHERS:
            continue
        if teacher not in settings["teachers"]:
            known = ", ".join([*OWN_TEACHERS, *settings["teachers"]])
            lacks.append(f"{setting}: no teacher {teacher!r}; known: {known}")
            continue
        try:
            told = from_mapping(TeacherConfig, settings["teachers"][teacher], f"teachers.{teacher}")
            needs |= teacher_needs(teacher, told)
            with warnings.catch_warnings(action="ignore"):  # the job itself warns
                check_licence(told.terms, f"{setting}: teacher {told.hub}", commercial)
        except ValueError as error:
            lacks.append(str(error))
    return needs, lacks


def mllm_place(settings: Mapping[str, Any]) -> str:
    """The folder of the MLLM that is fine-tuned: shipped, made by base.smk, or from outside."""
    made = {"rooms": "src/spatialsv/weights/mllm", "own": "data/base/mllm/checkpoint"}
    base = settings["train"]["base"]
    return made[base] if base in made else settings["models"][base]["path"]


def _too_deep(root: Path, settings: Mapping[str, Any], arms: Iterable[str]) -> list[str]:
    """The taps that the model to be trained has not, if it is here to look into."""
    base, file = settings["train"]["base"], root / mllm_place(settings) / "config.json"
    if not file.is_file():
        return []
    told = json.loads(file.read_text())
    layers = told.get("text_config", told).get("num_hidden_layers")
    asked = {f"arms.{arm}.taps": settings["arms"].get(arm, {}).get("taps") for arm in arms}
    asked["train.heads.taps"] = settings["train"]["heads"].get("taps")
    return [
        f"{setting}: {taps}, but {base} has hidden states 0 to {layers}; give others, or leave out"
        " of measure and ablations.tables what asks for them"
        for setting, taps in asked.items()
        if layers and taps and max(taps) > layers
    ]


def teacher_needs(name: str, teacher: TeacherConfig) -> dict[str, dict[str, str]]:
    """What a teacher from outside needs, as `outside` says it."""
    at = f" --revision {teacher.revision}" if teacher.revision else ""
    get = f"hf download {teacher.hub}{at} --local-dir {teacher.path}"
    needs = {f"teacher {name}, its weights": {"path": teacher.path, "get": get}}
    if teacher.python:
        place = Path(teacher.python).parent.parent
        get = f"conda env create -p {place} -f workflow/envs/{teacher.kind}.yaml, and as it says"
        needs[f"teacher {name}, its environment"] = {"path": teacher.python, "get": get}
    return needs


def adapter_files(family: str | None) -> list[str]:
    """The file of the adapter `my_package.my_module:MyFamily`; none for None, or where none is.

    The module is not run; a package that it is in is.
    """
    try:
        found = importlib.util.find_spec(family.partition(":")[0]) if family else None
    except ModuleNotFoundError:
        found = None
    return [found.origin] if found else []


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid upon `base`, mapping by mapping; null in place of a mapping drops it."""
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


def check(
    layer: Mapping[str, Any],
    schema: Mapping[str, Any],
    where: Path | str,
    node: yaml.Node | None = None,
) -> None:
    """Check one layer against the schema; what it leaves out is no error here.

    Raises:
        ValueError: every fault of the layer, one a line, each with file, line and suggestion.
    """
    faults = []
    for path in _key_paths(layer):
        if new := find_new_key(".".join(path)):
            faults.append(f"{_place(where, node, path)}: {'.'.join(path)} was renamed to {new}.")
    for error in Draft202012Validator(schema).iter_errors(layer):
        if error.validator != "required":
            faults += _explain(error, where, node)
    if faults:
        raise ValueError("\n".join(faults))


def _key_paths(layer: Any, above: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """Yield the path of every key of a layer.

    Yields:
        One path of keys, such as ["train", "heads", "taps"].
    """
    if isinstance(layer, Mapping):
        for key, value in layer.items():
            yield [*above, str(key)]
            yield from _key_paths(value, (*above, str(key)))


def _explain(error: ValidationError, where: Path | str, node: yaml.Node | None) -> Iterable[str]:
    path = list(error.absolute_path)
    if error.validator != "additionalProperties":
        yield f"{_place(where, node, path)}: {_dotted(path)}{error.message}"
        return
    known = error.schema.get("properties", {})
    for key in error.instance:
        if key not in known and not find_new_key(".".join(map(str, [*path, key]))):
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            name = ".".join(map(str, [*path, key]))
            yield f"{_place(where, node, [*path, key])}: no setting {name!r}; {hint}"


def _dotted(path: Iterable[Any]) -> str:
    name = ".".join(map(str, path))
    return f"{name}: " if name else ""


def _place(where: Path | str, node: yaml.Node | None, path: list[Any]) -> str:
    """`file:line` of the key or item that `path` leads to."""
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


def minified(section: Mapping[str, Any]) -> str:
    """`section` as one line of JSON with sorted keys: the same settings, the same text."""
    return json.dumps(section, sort_keys=True, separators=(",", ":"))


def source_of(settings: Mapping[str, Any], split: str) -> str:
    """Where the scenes of `split` come from: one source for all splits, or each its own."""
    source = settings["scenes"]["source"]
    return source if isinstance(source, str) else source.get(split, "rooms")


def place_digest(path: Path) -> str:
    """A digest of a file's content, or of the names and sizes below a folder; "" of nothing."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode())
    return digest.hexdigest()[:16] if path.is_dir() else ""


def code_digest(root: Path, packages: Iterable[str]) -> str:
    """A digest of the files of `packages` (`geometry`, `io`, `weights/mllm`, ...).

    Code and shipped weights, never a git SHA, which changes when a README does. Weights that are
    still to be made count as empty, so that the rule which makes them can be read.

    Raises:
        ValueError: there is no such package.
    """
    source = root / "src" / "spatialsv"
    digest = hashlib.sha256()
    for package in sorted(packages):
        folder, module = source / package, source / f"{package}.py"
        if not (folder.is_dir() or module.is_file() or package.startswith("weights/")):
            raise ValueError(f"code_version: {source} has no package or module {package!r}")
        files = [f for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
        for path in [module] if module.is_file() else sorted(files):
            digest.update(f"{path.relative_to(source)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
