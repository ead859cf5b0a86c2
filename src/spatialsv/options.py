"""The command line's subcommands and their options; `cli` calls what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spatialsv.benchmarks.names import NAMES

MANIFEST: dict[str, Any] = {"type": Path, "metavar": "MANIFEST"}
ONE: dict[str, Any] = MANIFEST | {"required": True}
MANY: dict[str, Any] = MANIFEST | {"nargs": "*", "default": []}
CONFIG: dict[str, Any] = {"default": "{}", "metavar": "JSON", "help": "the stage's settings"}
OUT: dict[str, Any] = ONE | {"help": "the manifest to write; the payload goes beside it"}
MODEL: dict[str, Any] = {
    "type": Path,
    "metavar": "MODEL",
    "help": "the manifest of a training job, or the folder of a Hugging Face checkpoint",
}
PROTOCOL: dict[str, Any] = {"metavar": "NAME", "help": "official, lmms_eval or vlmevalkit"}
ALLOW: dict[str, Any] = {
    "nargs": "+",
    "default": [],
    "choices": ["missing", "duplicate", "unknown"],
    "help": "ids that would be errors",
}
NO_IMAGE: dict[str, Any] = {
    "type": Path,
    "metavar": "FILE.jsonl",
    "help": "replies of a run with `blank_images`, scored beside: what the text gives away",
}
FAMILY: dict[str, Any] = {
    "metavar": "MODULE:CLASS",
    "help": "the MLLM's adapter, if it is from outside this package: its code is run",
}
TEACHER: dict[str, Any] = {
    "default": "rooms",
    "help": "`rooms`: the shipped network; `exact`; the folder of a network; or JSON, as an entry"
    " of `teachers` in the settings",
}
COMMERCIAL: dict[str, Any] = {
    "action": "store_true",
    "help": "refuse labels whose licence is not known to allow commercial use",
}
LABELLING: dict[str, dict[str, Any]] = {
    "--scenes": ONE,
    "--teacher": TEACHER,
    "--commercial": COMMERCIAL,
    "--config": CONFIG,
    "--out": OUT,
}

STAGES: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {  # what it makes, and its options
    "scenes": (
        "views and questions: rooms, or data from outside",
        {
            "--source": {"default": "rooms", "help": "`rooms`, `mindcube`, `llava`, or a format"},
            "--split": {"required": True},
            "--shard": {"type": int, "required": True},
            "--config": CONFIG,
            "--out": OUT,
        },
    ),
    "ingest": (
        "photos, videos and datasets as a store of scenes",
        {
            "path": {"type": Path, "metavar": "PATH"},
            "--format": {"metavar": "FORMAT", "help": "such as `colmap`; found out if it is clear"},
            "--config": CONFIG | {"help": "as scenes.read: frames, sampling, max_pixels"},
            "--out": {"type": Path, "required": True, "metavar": "STORE", "help": "*.zarr"},
        },
    ),
    "inspect": (
        "what is in a store",
        {
            "store": {"type": Path, "metavar": "STORE"},
            "--json": {"action": "store_true", "help": "all of it, in JSON, in bytes"},
        },
    ),
    "labels": (
        "a teacher's geometry for scenes",
        LABELLING,
    ),
    "pseudo": (
        "a teacher's geometry for scenes without questions",
        LABELLING,
    ),
    "train": (
        "one arm of the fine-tuning",
        {
            "--arm": {"required": True},
            "--seed": {"type": int, "required": True},
            "--base": {"default": "rooms", "help": "`rooms`: the shipped one; or a checkpoint"},
            "--family": FAMILY,
            "--scenes": MANY,
            "--labels": MANY,
            "--pseudo": MANY,
            "--config": CONFIG,
            "--out": OUT,
            "--plan": {"action": "store_true", "help": "say what it takes, and train nothing"},
            "--gib": {"type": float, "help": "of the plan's GPU, where it is not in this machine"},
            "--tflops": {
                "type": float,
                "help": "a second, of the plan's GPU in matrix products; else measured here",
            },
            "--json": {"action": "store_true", "help": "the plan in JSON, in bytes"},
        },
    ),
    "lift": (
        "geometry from a model's visual states",
        {
            "inputs": {
                "nargs": "*",
                "type": Path,
                "metavar": "INPUT",
                "help": "photos of one place; folders, videos, datasets; stores or their manifests",
            },
            "--model": MODEL | {"help": "as for probe; of inputs, by default the shipped teacher"},
            "--scene": {"nargs": "+", "default": [], "metavar": "ID", "help": "of the inputs"},
            "--family": FAMILY,
            "--scenes": MANY,
            "--train-scenes": MANY | {"help": "whose mean depth is the baseline; or their labels"},
            "--labels": MANY | {"help": "in place of geometry that the scenes have not"},
            "--config": CONFIG
            | {
                "help": "the stage's settings; of inputs: format, frames, sampling, max_pixels,"
                " shown_pixels, confidence_percentile, points, rrd"
            },
            "--out": {
                "type": Path,
                "required": True,
                "help": "a folder; of scenes, the manifest",
            },
        },
    ),
    "export": (
        "a trained model as a plain checkpoint",
        {
            "model": MANIFEST,
            "--keep-heads": {"action": "store_true", "help": "beside it, for `lift`"},
            "--commercial": COMMERCIAL,
            "--out": {"type": Path, "required": True, "help": "a folder that is not there yet"},
        },
    ),
    "probe": (
        "what fresh probes read from a frozen model",
        {
            "--model": MODEL | {"required": True},
            "--family": FAMILY,
            "--scenes": MANY,
            "--labels": MANY,
            "--test-scenes": MANY,
            "--test-labels": MANY | {"help": "in place of geometry that these have not"},
            "--config": CONFIG,
            "--out": OUT,
        },
    ),
    "evaluate": (
        "a model's answers, scored",
        {
            "benchmark": {"nargs": "?", "metavar": "BENCHMARK", "help": ", ".join(NAMES)},
            "--data": {"type": Path, "metavar": "DIR", "help": "the benchmark's files"},
            "--model": MODEL | {"required": True, "help": "as for lift; or `random`, `frequency`"},
            "--family": FAMILY,
            "--scenes": MANY,
            "--train-scenes": MANY
            | {"help": "whose answers a baseline goes by; what a benchmark shares with is told"},
            "--no-image": NO_IMAGE,
            "--config": CONFIG,
            "--out": OUT | {"help": "the manifest to write; of a benchmark, a folder"},
        },
    ),
    "score": (
        "a benchmark's scores, from replies alone",
        {
            "benchmark": {"metavar": "BENCHMARK", "help": ", ".join(NAMES)},
            "--data": {"type": Path, "required": True, "metavar": "DIR", "help": "its files"},
            "--responses": {
                "type": Path,
                "required": True,
                "metavar": "FILE.jsonl",
                "help": 'a line `{"id": ..., "reply": ...}` for each question',
            },
            "--protocol": PROTOCOL,
            "--allow": ALLOW,
            "--no-image": NO_IMAGE,
            "--json": {"type": Path, "metavar": "OUT", "help": "the scores in JSON as well"},
        },
    ),
    "overlap": (
        "what training shares with a benchmark",
        {
            "train": {"type": Path, "help": "a manifest or store of scenes, or a folder"},
            "test": {"help": "the same, or the name of a benchmark"},
            "--data": {"type": Path, "metavar": "DIR", "help": "the benchmark's files"},
            "--distance": {"type": int, "default": 4, "help": "bits, of 64, of pictures alike"},
            "--json": {"type": Path, "metavar": "OUT", "help": "all of it in JSON as well"},
        },
    ),
    "compare": (
        "two models' answers, tested in pairs",
        {
            "runs": {
                "type": Path,
                "nargs": "+",
                "metavar": "RUN",
                "help": "the folder, manifest or replies of a model's answers; one a model",
            },
            "--against": MANY | {"metavar": "RUN", "help": "the others', with several seeds each"},
            "--data": {"type": Path, "metavar": "DIR", "help": "the benchmark's files"},
            "--benchmark": {"metavar": "NAME", "help": "that bare replies are to"},
            "--protocol": PROTOCOL,
            "--allow": ALLOW,
            "--json": {"type": Path, "metavar": "OUT", "help": "the comparison in JSON as well"},
        },
    ),
    "report": (
        "the results table and the HTML report",
        {
            "--train": MANY,
            "--lift": MANY,
            "--probe": MANY,
            "--evaluate": MANY,
            "--pseudo": MANY,
            "--scenes": MANY | {"help": "the test scenes, to browse"},
            "--labels": MANY | {"help": "a teacher's labels of them, to show beside"},
            "--ablations": MANY | {"help": "that stage's manifest: its tables are shown too"},
            "--benchmarks": MANY | {"metavar": "TSV", "help": "Snakemake's benchmark files"},
            "--config": CONFIG,
            "--out": OUT,
        },
    ),
    "ablations": (
        "the paper's tables, on our arms",
        {"--evaluate": MANY, "--lift": MANY, "--config": CONFIG, "--out": OUT},
    ),
    "paper": (
        "the paper's tables of models and benchmarks",
        {
            "--evaluate": MANY | {"help": "of benchmarks: data/evaluate/*/*/*/*/manifest.json"},
            "--out": OUT,
        },
    ),
    "base": (
        "an MLLM or a teacher, from nothing",
        {"part": {"choices": ["mllm", "teacher"]}, "--config": CONFIG, "--out": OUT},
    ),
    "gather": (
        "a stage's manifest over those of its jobs",
        {
            "manifests": MANIFEST | {"nargs": "*"},
            "--of": {"required": True, "metavar": "STAGE"},
            "--spare": MANY | {"help": "others that stay where they exist"},
            "--within": {"type": Path, "metavar": "FOLDER", "help": "where leftovers are deleted"},
            "--out": OUT,
        },
    ),
}
