"""What a run requires from outside the repository, and what makes it impossible."""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dag import mllm_path, source_of
from spatialsv.benchmarks.catalogue import find_protocol
from spatialsv.config import from_mapping
from spatialsv.scenes.licence import check_licence
from spatialsv.scenes.readers.record import read_records
from spatialsv.scenes.readers.record_formats import SOURCES
from spatialsv.teachers.config import TeacherConfig

BUILT_IN_TEACHERS = ("rooms", "exact", "own")
PUBLISHED = "put there what the benchmark's authors publish, unpacked"

Needs = dict[str, dict[str, str]]  # name -> `path`, and `get`, how to obtain it


def find_requirements(
    root: Path, settings: Mapping[str, Any], arms: Iterable[str]
) -> tuple[Needs, list[str]]:
    """Return what a run needs that no rule makes.

    Args:
        root: the repository.
        settings: complete settings.
        arms: the arms that the run trains.

    Returns:
        name -> `path` and `get`; and error messages for what makes the run impossible.
    """
    arms = list(arms)
    needs, errors = dict(settings["needs"]), []
    base = settings["train"]["base"]
    if model := settings["models"].get(base):
        path, hub = model["path"], model.get("hub")
        if hub:
            get = f"hf download {hub} --revision {model['revision']} --local-dir {path}"
            needs = {f"the MLLM {hub}": {"path": path, "get": get}, **needs}
        elif not (root / path).is_dir():
            errors.append(
                f"models.{base}.path: no folder {path}. Correct the path, or set hub and revision"
                " for the command that downloads the model."
            )
        if (family := model.get("family")) and not adapter_files(family):
            errors.append(
                f"models.{base}.family: no module of {family} on Python's path (PYTHONPATH)"
            )
    errors += _invalid_taps(root, settings, arms)
    for split, path in settings["scenes"].get("read", {}).get("files", {}).items():
        count, source = settings["scenes"]["splits"].get(split), source_of(settings, split)
        if count and source != "rooms":
            errors += _records(root, split, path, count if source in SOURCES else 0)
    for part in (_benchmarks(settings), _teachers(settings, arms)):
        needs |= part[0]
        errors += part[1]
    return needs, errors


def _records(root: Path, split: str, path: str, count: int) -> Iterator[str]:
    """Yield an error if a split's file is missing, or has fewer than `count` records."""
    if not (root / path).exists():
        yield f"scenes.read.files.{split}: no {path}"
        return
    try:
        found = sum(1 for _ in read_records(root / path, range(count))) if count else 0
    except ValueError as error:
        yield f"scenes.read.files.{split}: {error}"
        return
    if found < count:
        yield f"scenes.splits.{split}: {count}, but {path} has {found} records. Correct the number."


def adapter_files(family: str | None) -> list[str]:
    """Return the file of an MLLM adapter such as `my_package.my_module:MyFamily`.

    The module is not run; a package that contains it is.

    Args:
        family: module:class, or None.

    Returns:
        One path; none where no adapter is given or its module is not on Python's path.
    """
    try:
        spec = importlib.util.find_spec(family.partition(":")[0]) if family else None
    except ModuleNotFoundError:
        spec = None
    return [spec.origin] if spec and spec.origin else []


def _benchmarks(settings: Mapping[str, Any]) -> tuple[Needs, list[str]]:
    """Return the folders of the benchmarks' files, and errors of their settings."""
    needs: Needs = {}
    errors = []
    for name, config in settings["evaluate"].get("benchmarks", {}).items():
        get = config.get("get", PUBLISHED)
        needs[f"benchmark {name}"] = {"path": config["data"], "get": get}
        try:
            find_protocol(name, config.get("protocol"))
        except ValueError as error:
            errors.append(f"evaluate.benchmarks.{error}")
    return needs, errors


def _teachers(settings: Mapping[str, Any], arms: Iterable[str]) -> tuple[Needs, list[str]]:
    """Return what the teachers of a run need, and errors of their settings and licences."""
    needs: Needs = {}
    errors = []
    used = {"labels.teacher": settings["labels"]["teacher"]}
    for arm in arms:
        if teacher := settings["arms"].get(arm, {}).get("teacher"):
            used[f"arms.{arm}.teacher"] = teacher
    for setting, name in used.items():
        if name in BUILT_IN_TEACHERS:
            continue
        if name not in settings["teachers"]:
            known = ", ".join([*BUILT_IN_TEACHERS, *settings["teachers"]])
            errors.append(f"{setting}: unknown teacher {name!r}. Known teachers: {known}.")
            continue
        try:
            config = from_mapping(TeacherConfig, settings["teachers"][name], f"teachers.{name}")
            needs |= _teacher_files(name, config)
            with warnings.catch_warnings(action="ignore"):  # the job itself warns
                commercial = settings["labels"].get("commercial", False)
                check_licence(config.terms, f"{setting}: teacher {config.hub}", commercial)
        except ValueError as error:
            errors.append(str(error))
    return needs, errors


def _teacher_files(name: str, config: TeacherConfig) -> Needs:
    """Return the weights and the environment that a third-party teacher needs."""
    revision = f" --revision {config.revision}" if config.revision else ""
    get = f"hf download {config.hub}{revision} --local-dir {config.path}"
    needs = {f"teacher {name}, its weights": {"path": config.path, "get": get}}
    if config.python:
        prefix, file = Path(config.python).parent.parent, f"workflow/envs/{config.kind}.yaml"
        get = f"conda env create -p {prefix} -f {file}, then follow the comments of that file"
        needs[f"teacher {name}, its environment"] = {"path": config.python, "get": get}
    return needs


def _invalid_taps(root: Path, settings: Mapping[str, Any], arms: Iterable[str]) -> list[str]:
    """Return errors for taps beyond the layers of the base, where its config.json exists."""
    base, file = settings["train"]["base"], root / mllm_path(settings) / "config.json"
    if not file.is_file():
        return []
    config = json.loads(file.read_text())
    layers = config.get("text_config", config).get("num_hidden_layers")
    taps = {f"arms.{arm}.taps": settings["arms"].get(arm, {}).get("taps") for arm in arms}
    taps["train.heads.taps"] = settings["train"]["heads"].get("taps")
    return [
        f"{setting}: {indices}, but {base} has hidden states 0 to {layers}. Choose other taps, or"
        " remove the arm from measure and ablations.tables."
        for setting, indices in taps.items()
        if layers and indices and max(indices) > layers
    ]
