"""Export a trained model as a plain checkpoint, optionally with its 3D heads."""

from __future__ import annotations

import shutil
from pathlib import Path

from spatialsv.io.atomic import atomic_directory, write_json, write_text
from spatialsv.io.manifest import Manifest, read_manifest
from spatialsv.model.checkpoint import HEADS, MLLM, SETTINGS_FILE, read_settings
from spatialsv.scenes.licence import check_licence

RECORDED = ("teachers", "images")  # of a manifest's `about`, copied to the checkpoint's settings


def export(model: Path, out: Path, keep_heads: bool = False, commercial: bool = False) -> Path:
    """Copy a trained MLLM to `out`, which any tool loads as it loads the base model.

    The parameters have the base model's names, number and shapes, so inference costs the same.

    Args:
        model: a train manifest.
        out: a folder that does not exist yet.
        keep_heads: copy the 3D heads to heads/ in `out`, so that `spatialsv lift` can read it.
        commercial: refuse models trained on labels whose licence is not known to allow that use.

    Returns:
        `out`.

    Raises:
        ValueError: `out` exists, `model` is not a train manifest, it has no heads to keep, or the
            licence of its labels is refused.
    """
    manifest = read_manifest(model)
    if manifest.stage != "train" or MLLM not in manifest.payload:
        raise ValueError(
            f"{model} is a manifest of the stage {manifest.stage}. Give one of a training job."
        )
    if keep_heads and HEADS not in manifest.payload:
        raise ValueError(f"{model} was trained without 3D heads, so there are none to keep.")
    if out.exists():
        raise ValueError(f"{out} exists. Give a folder that does not exist yet.")
    for labels in manifest.about.get("teachers", []):
        check_licence(labels["licence"], f"{model}: trained on {labels['teacher']}", commercial)
    with atomic_directory(out) as temporary:
        shutil.copytree(manifest.resolve(MLLM), temporary)
        if keep_heads:
            shutil.copytree(manifest.resolve(HEADS), temporary / HEADS)
        record = {name: manifest.about[name] for name in RECORDED if manifest.about.get(name)}
        if record:
            write_json(temporary / SETTINGS_FILE, read_settings(temporary) | record)
        write_text(temporary / "README.md", _model_card(manifest, keep_heads))
    return out


def format_export(out: Path) -> str:
    """Describe an exported folder in one line."""
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    heads = "with" if (out / HEADS).is_dir() else "without"
    return f"a checkpoint of {size / 1e6:,.1f} MB, {heads} 3D heads; {out}"


def _model_card(manifest: Manifest, heads: bool) -> str:
    """Return what the checkpoint is and how it was trained, in Markdown."""
    about, config = manifest.about, manifest.config
    arm, lora = about["settings"], config.get("lora")
    base = about.get("base_name", about["base"])
    is_hub_id = base == about["base"]  # of a folder, `base` is the digest
    digest = "" if is_hub_id else f" ({about['base']})"
    trained = "all weights"
    if lora:
        matrices = ", ".join(lora["matrices"])
        trained = f"LoRA of rank {lora['rank']}, alpha {lora['alpha']}, on {matrices}; merged"
    batch = config["batch_size"] * config["accumulation"] * config["processes"]
    signals = [name for name in ("text", "distill") if arm[name]] + list(arm["tasks"])
    if arm.get("relation") is not None:
        signals.append(f"relations of hidden state {arm['relation']}")
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: image-text-to-text",
        "tags: [spatialsv]",
        *([f"base_model: {base}"] if is_hub_id else []),
        "---",
        "",
        f"# SpatialSV, arm {about['arm']}, seed {about['seed']}",
        "",
        "Fine-tuned with 3D supervision (arXiv 2606.19915) by an open implementation.",
        "It loads like any checkpoint of its base model, and inference costs the same.",
        "",
        f"- base: `{base}`{digest}; its licence applies to this checkpoint, too",
        f"- trained in the LLM: {trained}",
        f"- supervision: {', '.join(signals)}",
        *(
            f"- labels by {labels['teacher']} ({labels['revision'] or 'no revision'}), licence"
            f" {labels['licence']}"
            for labels in about.get("teachers", [])
        ),
        f"- steps: {manifest.counts['steps']}, batches of {batch} samples, learning rates"
        f" {about['rates']}",
        *(f"- {name}: {digest}" for name, digest in about["data"].items()),
        *(f"- {name} {version}" for name, version in about["libraries"].items()),
    ]
    if heads:
        lines += [
            "",
            f"`{HEADS}/` contains the 3D heads: `spatialsv lift --model THIS_FOLDER photo.jpg --out"
            " lifted/`.",
        ]
    return "\n".join(lines) + "\n"
