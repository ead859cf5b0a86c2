"""A trained model as others take it: a plain checkpoint, with the heads beside it if wanted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from spatialsv.io.atomic import write_json, write_text
from spatialsv.io.manifest import Manifest, read_manifest
from spatialsv.model.checkpoint import HEADS, MLLM
from spatialsv.model.families.family import SETTINGS_FILE, read_settings
from spatialsv.scenes.licence import check_licence

TOLD = ("teachers", "shown")  # of a manifest's `about`, what the checkpoint tells as well


def export(model: Path, out: Path, keep_heads: bool = False, commercial: bool = False) -> None:
    """Copy a trained MLLM to `out`, where what loads its base loads it without this package.

    Answers cost what the base's do: its parameters are the base's in name, number and shape.

    Args:
        model: a train manifest.
        out: a folder that is not there yet.
        keep_heads: put the 3D heads into `HEADS` within it, so that `spatialsv lift` can read it.
        commercial: refuse what learnt from labels whose licence is not known to allow that use.

    Raises:
        ValueError: `out` exists, heads are wanted of a model that was trained without, or the
            licence of its labels is refused.
    """
    manifest = read_manifest(model)
    if manifest.stage != "train" or MLLM not in manifest.payload:
        raise ValueError(f"{model}: a {manifest.stage} manifest; give that of a training job")
    if keep_heads and HEADS not in manifest.payload:
        raise ValueError(f"{model}: trained without 3D heads, so there are none to keep")
    if out.exists():
        raise ValueError(f"{out}: exists; give a folder that does not")
    teachers = manifest.about.get("teachers", [])
    for labels in teachers:
        check_licence(labels["licence"], f"{model}: learnt from {labels['teacher']}", commercial)
    temporary = out.with_name(f".{out.name}.{os.getpid()}")  # a killed copy leaves no half `out`
    shutil.copytree(manifest.resolve(MLLM), temporary)
    if keep_heads:
        shutil.copytree(manifest.resolve(HEADS), temporary / HEADS)
    told = {name: manifest.about[name] for name in TOLD if manifest.about.get(name)}
    if told:
        write_json(temporary / SETTINGS_FILE, read_settings(temporary) | told)
    write_text(temporary / "README.md", model_card(manifest, keep_heads))
    temporary.replace(out)


def model_card(manifest: Manifest, heads: bool) -> str:
    """What the checkpoint is, what it was trained from and how, in Markdown."""
    about, config = manifest.about, manifest.config
    arm = about["settings"]
    batch = config["batch_size"] * config["accumulation"] * config["processes"]
    signals = [name for name in ("text", "distill") if arm[name]] + list(arm["tasks"])
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: image-text-to-text",
        "tags: [spatialsv]",
        "---",
        "",
        f"# SpatialSV, arm {about['arm']}, seed {about['seed']}",
        "",
        "Fine-tuned with 3D supervision (arXiv 2606.19915) by an open implementation.",
        "It loads as any checkpoint of its base does, and costs the same.",
        "",
        f"- base: `{about['base']}`; its licence holds for this checkpoint, too",
        f"- taught by: {', '.join(signals)}",
        *(
            f"- labels by {labels['teacher']} ({labels['revision'] or 'no revision'}), licence"
            f" {labels['licence']}"
            for labels in about.get("teachers", [])
        ),
        f"- steps: {manifest.counts['steps']}, batches of {batch} samples, rates {about['rates']}",
        *(f"- {name}: {digest}" for name, digest in about["data"].items()),
        *(f"- {name} {version}" for name, version in about["libraries"].items()),
    ]
    if heads:
        lines += [
            "",
            f"`{HEADS}/` holds the 3D heads: `spatialsv lift --model THIS_FOLDER photo.jpg --out"
            " lifted/`.",
        ]
    return "\n".join(lines) + "\n"
