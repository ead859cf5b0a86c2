"""The commands of the command line: what each calls, reads, prints, and how it is used."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from spatialsv.options import Command
from spatialsv.presenters import present, show_check, show_inspection, show_plan

SUMMARY = "io.summary:summarise"  # the `text` of commands that return a manifest


def find_command(name: str, words: Sequence[str]) -> Command:
    """Return the command called `name`; some have a variant that the words select.

    Args:
        name: the command.
        words: the words that follow it.

    Returns:
        The entry of `COMMANDS` or of `VARIANTS`.

    Raises:
        ValueError: the command is unknown.
    """
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Commands: {', '.join(COMMANDS)}."
        raise ValueError(f"unknown command. {hint}")
    options = {word.partition("=")[0] for word in words}
    source = " ".join(words).replace("=", " ")
    selected = {
        "scenes": "--source" in options and not re.search(r"--source rooms\b", source),
        "train": "--plan" in options,
        "lift": "--scenes" in options,
        "verify": any(word.endswith(".zip") for word in words),
        "score": bool(re.search(r"--protocol all\b", source)),
    }
    return VARIANTS[name] if selected.get(name) else COMMANDS[name]


def load_function(target: str) -> Callable[..., Any]:
    """Import a command's function, given as `module:function` without `spatialsv.`."""
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(f"spatialsv.{module}"), function)


COMMANDS = {
    "scenes": Command(
        "render one shard of rooms with questions, or read one of records (--source)",
        "rooms.stage:run",
        inputs=("selection",),
        examples=(
            "--split train --shard 0 --out scenes/train/0000.json",
            "--source mindcube --split train --shard 0 --config scenes.yaml"
            " --out scenes/train/0000.json",
        ),
        fixed={"source": "rooms"},
        text=SUMMARY,
    ),
    "select": Command(
        "select questions that need geometry across views, over all splits of rooms",
        "rooms.evidence.stage:run",
        examples=("--config scenes.yaml --out scenes/selection.json",),
        text=SUMMARY,
    ),
    "ingest": Command(
        "read photos, videos or datasets of posed images into a store of scenes",
        "scenes.readers.read_captures:ingest",
        positional=("root",),
        inputs=("root",),
        examples=(
            "photos/ --out mine.zarr",
            "scannet/scans --format scannet --frames 16 --out mine.zarr",
        ),
        names={"store": "out"},
        text=SUMMARY,
    ),
    "check-data": Command(
        "check a file of your own questions or conversations, and its images",
        "scenes.readers.check:check_data",
        positional=("path",),
        inputs=("path", "images"),
        examples=("mine.jsonl --images photos/",),
        show=show_check,
    ),
    "inspect": Command(
        "print the contents of a store of scenes or labels, or of a manifest",
        "scenes.store.inspect:inspect",
        positional=("path",),
        inputs=("path",),
        examples=("mine.zarr", "data/labels/rooms/train/0000.json --json"),
        show=show_inspection,
    ),
    "verify": Command(
        "compare stores, weights, tables or a bundle with the digests in their manifests",
        "scenes.verify:verify",
        positional=("path",),
        inputs=("path",),
        examples=("data/train", "bundle.zip --data VSI-Bench/"),
        text="scenes.verify:format_verification",
        show=lambda found: 1 if found.errors else 0,
    ),
    "labels": Command(
        "label one shard of scenes with a teacher's geometry",
        "labels:run",
        inputs=("scenes", "teacher?"),
        examples=(
            "--scenes mine.json --out labels.json",
            "--scenes mine.json --teacher exact --out labels.json",
        ),
        defaults={"teacher": "rooms"},
        text=SUMMARY,
    ),
    "pseudo": Command(
        "label one shard of scenes without questions, and gate it",
        "pseudo:run",
        inputs=("scenes", "teacher?"),
        examples=("--scenes mine.json --out pseudo.json",),
        text=SUMMARY,
    ),
    "train": Command(
        "fine-tune the base MLLM as one arm says, or plan it (--plan)",
        "train:run",
        inputs=("scenes*", "labels*", "pseudo*", "base?"),
        examples=(
            "--arm spatialsv --seed 0 --scenes scenes.json --labels labels.json"
            " --out run/manifest.json",
            "--plan --arm spatialsv --seed 0 --scenes scenes.json --labels labels.json"
            " --base Qwen/Qwen2.5-VL-3B-Instruct --gib 80 --out run/manifest.json",
        ),
        fixed={"plan": False},
        text=SUMMARY,
    ),
    "lift": Command(
        "lift depth, rays, cameras and points from images, or from a stage's --scenes",
        "lift.images:lift_images",
        positional=("inputs",),
        inputs=("inputs*", "model?"),
        examples=(
            "photo1.jpg photo2.jpg --out lifted/",
            "--scenes test.json --model run/manifest.json --out lift/manifest.json",
        ),
        names={"scenes": "scene"},
    ),
    "export": Command(
        "write a trained model as a plain transformers checkpoint",
        "model.export:export",
        positional=("model",),
        inputs=("model",),
        examples=("data/train/rooms/spatialsv/0/manifest.json --out mine/",),
        text="model.export:format_export",
    ),
    "probe": Command(
        "train probes on the hidden states of a frozen model",
        "probe:run",
        inputs=("model?", "scenes*", "labels*", "test-scenes*", "test-labels*"),
        examples=(
            "--model run/manifest.json --scenes train.json --test-scenes test.json"
            " --out probe/manifest.json",
        ),
        text=SUMMARY,
    ),
    "causal": Command(
        "change visual states of rooms, and test whether answers follow",
        "probe.causal.stage:run",
        inputs=("model?", "scenes*", "test-scenes*"),
        examples=(
            "--model run/manifest.json --scenes train.json --test-scenes test.json"
            " --out causal/manifest.json",
        ),
        text=SUMMARY,
    ),
    "evaluate": Command(
        "evaluate a model on the questions of scenes, or on a benchmark",
        "evaluate:run",
        positional=("benchmark",),
        inputs=("model?", "scenes*", "data", "train-scenes*", "no-image"),
        examples=(
            "--model run/manifest.json --scenes test.json --out runs/mine",
            "vsi_bench --model Qwen/Qwen2.5-VL-3B-Instruct --data VSI-Bench/ --out runs/vsi",
            "--data mine.jsonl --images photos/ --model run/manifest.json --out runs/mine",
        ),
    ),
    "audit": Command(
        "measure whether a model looks at the images, by altering or removing them",
        "evaluate.audit:audit",
        positional=("benchmark",),
        inputs=("model?", "scenes*", "data", "runs*"),
        examples=(
            "--model run/manifest.json --scenes test.json --out runs/audit",
            "vsi_bench --model Qwen/Qwen2.5-VL-3B-Instruct --data VSI-Bench/ --out runs/audit",
        ),
        text="evaluate.audit_result:format_audit",
    ),
    "score": Command(
        "score the responses of any model to a benchmark",
        "benchmarks.score:score",
        positional=("benchmark",),
        inputs=("data", "responses", "no-image"),
        outputs=("bundle",),
        examples=(
            "vsi_bench --data VSI-Bench/ --responses responses.jsonl --json scores.json",
            "--data mine.jsonl --responses responses.jsonl --protocol all",
        ),
        names={"out": "json"},
        text="benchmarks.score:format_scoring",
    ),
    "compare": Command(
        "compare the responses of two models in paired tests",
        "evaluate.compare:compare_runs",
        positional=("runs",),
        inputs=("runs*", "against*", "data"),
        examples=("runs/mine runs/base", "A/0 A/1 A/2 --against B/0 B/1 B/2 --json compared.json"),
        names={"out": "json"},
        text="evaluate.compare:format_comparison",
    ),
    "overlap": Command(
        "find images and scenes that training shares with a benchmark",
        "benchmarks.overlap:overlap",
        positional=("train", "test"),
        inputs=("train", "test?", "data"),
        examples=("mine.json vsi_bench --data VSI-Bench/", "train/ test/ --distance 8"),
        names={"out": "json"},
        text="benchmarks.overlap:format_overlap",
    ),
    "analysis": Command(
        "compute all results as tidy tables with documented columns",
        "analysis:run",
        inputs=(
            *("evaluate*", "lift*", "probe*", "train*", "pseudo*", "scenes*", "labels*"),
            "selection",
        ),
        examples=("--evaluate data/evaluate/*/*/*/manifest.json --out analysis/manifest.json",),
    ),
    "report": Command(
        "write tables, figures and one HTML page",
        "report:run",
        inputs=("analysis", "ablations*"),
        examples=("--analysis analysis/manifest.json --out report/manifest.json",),
    ),
    "ablations": Command(
        "write the paper's ablation tables for our arms",
        "analysis.ablations:run",
        inputs=("evaluate*", "lift*"),
        examples=(
            "--evaluate data/evaluate/*/*/*/manifest.json --config ablations.yaml"
            " --out ablations/manifest.json",
        ),
        show=present,
    ),
    "paper": Command(
        "write the paper's tables of models and benchmarks",
        "analysis.paper:run",
        inputs=("evaluate*",),
        examples=("--evaluate data/evaluate/*/*/*/*/manifest.json --out paper/manifest.json",),
        show=present,
    ),
    "demo": Command(
        "answer questions about a few rooms with the shipped weights; a page in about a minute",
        "demo:run",
        examples=("--out demo/",),
    ),
    "base": Command(
        "train the shipped MLLM or its geometry teacher from random weights (hours)",
        "base.stage:run",
        positional=("part",),
        examples=("teacher --out base/teacher/manifest.json",),
        text=SUMMARY,
    ),
    "gather": Command(
        "write a stage's manifest over those of its jobs",
        "gather:gather",
        positional=("manifests",),
        inputs=("manifests*",),
        examples=("labels/0000.json labels/0001.json --of labels --out labels/manifest.json",),
        names={"stage": "of"},
        text=SUMMARY,
    ),
}
VARIANTS = {  # of commands that `find_command` selects by their options
    "scenes": replace(
        COMMANDS["scenes"], target="scenes.readers.stage:read_shard", inputs=(), fixed={}
    ),
    "train": replace(COMMANDS["train"], target="train.plan:plan", text=None, show=show_plan),
    "lift": replace(
        COMMANDS["lift"],
        target="lift:run",
        positional=(),
        inputs=("model?", "scenes*", "train-scenes*", "labels*"),
        names={},
        text=SUMMARY,
    ),
    "verify": replace(
        COMMANDS["verify"],
        target="benchmarks.bundle_check:verify_bundle",
        inputs=("path", "data"),
        text="benchmarks.bundle_check:format_bundle",
    ),
    "score": replace(
        COMMANDS["score"],
        target="benchmarks.protocols:score_all",
        inputs=("data", "responses"),
        outputs=(),
        fixed={"protocol": "all"},
        text="benchmarks.protocols:format_all",
    ),
}
