"""Write config.schema.yaml from the config dataclasses of the stages.

Run it after a change of a config dataclass; a test fails otherwise. Settings that list jobs
(splits, arms, seeds) belong to no dataclass and are described here, in words for the documentation.
"""

from __future__ import annotations

import dataclasses
import importlib
import types
import typing
from pathlib import Path
from typing import Any

import yaml

from spatialsv.benchmarks.catalogue import NAMES as BENCHMARKS
from spatialsv.scenes.readers.formats import FORMATS
from spatialsv.scenes.readers.record_formats import SOURCES

HEAD = """\
# Written by write_schema.py from the config dataclasses. `workflow/settings.py` checks
# default.yaml and the overlays against it.
"""
STAGES = {
    "scenes": "spatialsv.rooms.stage:ScenesConfig",
    "labels": "spatialsv.labels:LabelsConfig",
    "pseudo": "spatialsv.pseudo:PseudoConfig",
    "train": "spatialsv.train.config:TrainConfig",
    "lift": "spatialsv.lift:LiftConfig",
    "probe": "spatialsv.probe:ProbeConfig",
    "evaluate": "spatialsv.evaluate:EvaluateConfig",
    "analysis": "spatialsv.analysis:AnalysisConfig",
    "report": "spatialsv.report:ReportConfig",
    "ablations": "spatialsv.analysis.ablations:AblationsConfig",
    "base": "spatialsv.base.stage:BaseConfig",
}
SPLIT = {"enum": ["train", "unlabelled", "validation", "test"]}
NAMES = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
SPLITS = {"type": "array", "items": SPLIT, "uniqueItems": True}
COUNT = {"type": "integer", "minimum": 0}
TEXT = {"type": "string"}
NAME = {"type": "string", "pattern": "^[a-z0-9_]+$"}
SEEDS = {"type": "array", "items": COUNT, "uniqueItems": True, "minItems": 1}


def described(schema: dict[str, Any], text: str) -> dict[str, Any]:
    """Return a schema that says what its value means."""
    return {**schema, "description": text}


# Settings that the rules read.
DAG: dict[str, dict[str, Any]] = {
    "scenes": {
        "splits": {"type": "object", "propertyNames": SPLIT, "additionalProperties": COUNT},
        "shard_size": {"type": "integer", "minimum": 1},
    },
    "labels": {
        "teacher": described(NAME, "`rooms`, `exact` or an entry of `teachers`"),
        "splits": described(SPLITS, "splits that are labelled"),
        "commercial": described(
            {"type": "boolean"}, "refuse labels whose licence is not known to allow commercial use"
        ),
    },
    "pseudo": {"splits": described(SPLITS, "splits that are labelled and gated")},
    "train": {
        "base": described(NAME, "MLLM to fine-tune: `rooms`, or an entry of `models`"),
        "recipe": described(NAME, "an entry of the model's `recipes`"),
        "seeds": described(SEEDS, "each arm is trained once with each"),
    },
}
MEASURING = {
    "lift": "arms whose geometry is lifted",
    "probe": "arms that are probed; `base` is the untuned one",
    "evaluate": "arms that are evaluated; `base`, `random` and `frequency` are baselines",
}


def schema() -> dict[str, Any]:
    """Return the JSON schema of a complete set of sections."""
    sections = {}
    for stage, target in STAGES.items():
        own = _mapping(load_class(target))["properties"]
        if stage == "scenes":
            own["tasks"]["propertyNames"] = SPLIT
            read = _mapping(load_class("spatialsv.scenes.readers.config:ReadConfig"))["properties"]
            read["files"]["propertyNames"] = SPLIT
            job = {*own, "stop"}  # set by the rule for its job
            own["read"] = _object({key: read[key] for key in read if key not in job})
            known = {"type": "string", "enum": ["rooms", *SOURCES, *FORMATS]}
            by_split = {"type": "object", "propertyNames": SPLIT, "additionalProperties": known}
            about = "`rooms`, a format of questions or a capture format, for all splits or each"
            own["source"] = described({"oneOf": [known, by_split]}, about)
        if stage == "train":
            own.pop("arms")  # the rule passes the job's arm of the section `arms`
            for part, theirs in (
                ("heads", ("tasks", "feature_channels", "detach", "relation")),
                ("losses", ("tasks",)),
            ):
                for name in theirs:  # given by the arm and by its labels
                    own[part]["properties"].pop(name)
        if stage == "evaluate":
            third_party = [name for name in BENCHMARKS if name != "rooms"]
            data = described(TEXT, "folder of the files that the authors publish")
            get = described(TEXT, "how to obtain them; printed where they are missing")
            own["benchmarks"] = _named({"data": data, "get": get, **own}, ["data"])
            own["benchmarks"]["propertyNames"] = {"enum": third_party}
        if stage == "ablations":
            own["tables"]["additionalProperties"]["type"] = ["object", "null"]  # null removes one
        sections[stage] = _object(own | DAG.get(stage, {}))
    arm = _mapping(load_class("spatialsv.train.arm:ArmConfig"))
    train = sections["train"]["properties"]
    own = _object({key: train[key] for key in train if key not in DAG["train"]})
    for_dag = {  # settings of an arm that the rules read
        "start": described(NAME, "arm whose model, of the same seed, this one starts from"),
        "train": described(own, "settings of the section `train`, for this arm only"),
    }
    sections["arms"] = _named(arm["properties"] | for_dag, [])
    sections["arms"]["propertyNames"] = NAME
    split = described({"enum": ["validation", "test"]}, "scenes to measure on")
    measuring = {stage: described(NAMES, text) for stage, text in MEASURING.items()}
    sections["measure"] = _object({"split": split} | measuring)
    sections["models"] = _named(
        {
            "path": described(TEXT, "folder of the checkpoint"),
            "hub": described(TEXT, "hub id, for the command that downloads a missing model"),
            "family": described(
                {"type": "string", "pattern": r"^\w+(\.\w+)*:\w+$"},
                "MODULE:CLASS of an adapter outside this package; its code is executed",
            ),
            "revision": described(
                {"type": "string", "pattern": "^[0-9a-f]{40}$"}, "commit of the hub's repository"
            ),
            "train": described(sections["train"], "settings of `train` for this model"),
            "recipes": described(
                {"type": "object", "additionalProperties": sections["train"]},
                "settings of `train` by name, which `train.recipe` selects",
            ),
        },
        ["path"],
    )
    pinned = {"hub": ["revision"], "revision": ["hub"]}  # needed only to download the model
    sections["models"]["additionalProperties"]["dependentRequired"] = pinned
    teacher = _mapping(load_class("spatialsv.teachers.config:TeacherConfig"))["properties"]
    sections["teachers"] = _named(teacher, ["kind", "hub", "path"])
    needs = {"path": "file or folder that no rule makes", "get": "how to obtain it"}
    sections["needs"] = _named(
        {key: described(TEXT, text) for key, text in needs.items()}, list(needs)
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_object(sections),
        "required": list(sections),
    }


def load_class(target: str) -> type:
    """Import a class, given as `module:class`."""
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _named(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """Return the schema of a mapping from any names; null in place of an entry removes it."""
    entry = _object(properties) | {"type": ["object", "null"], "required": required}
    return {"type": "object", "additionalProperties": entry}


def _mapping(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return _object({field.name: _type(hints[field.name]) for field in dataclasses.fields(cls)})


def _type(hint: Any) -> dict[str, Any]:
    """Return the schema of one field's type, as `spatialsv.config.from_mapping` reads it.

    Raises:
        TypeError: the type is not supported in a config.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    simple = {int: "integer", float: "number", str: "string", bool: "boolean"}
    if hint in simple:
        return {"type": simple[hint]}
    if hint is type(None):
        return {"type": "null"}
    if hint is Any:
        return {}
    if origin in (typing.Union, types.UnionType):
        return _any([_type(option) for option in arguments])
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _mapping(hint)
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return {"type": "array", "items": _type(arguments[0])}
    if origin is tuple:
        size = len(arguments)
        items = [_type(item) for item in arguments]
        return {"type": "array", "prefixItems": items, "minItems": size, "maxItems": size}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(arguments[1])}
    raise TypeError(f"{hint!r} is not supported in a config.")


def _any(options: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the schema of one of `options`; `anyOf`, whose errors are vague, only if needed."""
    if not all(isinstance(option.get("type"), str) for option in options):
        return {"anyOf": options}
    joined: dict[str, Any] = {}
    for option in options:
        joined |= option
    return joined | {"type": [option["type"] for option in options]}


class _Plain(yaml.SafeDumper):
    """YAML without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dumps() -> str:
    """Return the text of config.schema.yaml."""
    return HEAD + yaml.dump(schema(), Dumper=_Plain, sort_keys=False, width=100)


if __name__ == "__main__":
    Path(__file__).with_name("config.schema.yaml").write_text(dumps())
