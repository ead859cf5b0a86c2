"""The stage: lift test scenes with a trained model, and measure the result."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from spatialsv.config import to_mapping
from spatialsv.geometry.pose_metrics import PoseErrors
from spatialsv.io.atomic import write_json, write_text
from spatialsv.io.digests import digest_bytes, digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.lift.measure import (
    baseline_batch,
    ground_truth,
    mean_depth,
    measure_batch,
    summarise,
    with_views,
)
from spatialsv.lift.models import ModelWithHeads, as_scenes
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.scene_list import by_id, fill_geometry, group_by_shape
from spatialsv.scenes.store import load_groups, write_groups


@dataclass(frozen=True, kw_only=True)
class LiftConfig:
    """How scenes are lifted."""

    batch_size: int = 8  # scenes in a forward pass


def run(
    model: Path,
    scenes: Sequence[Path],
    config: LiftConfig,
    out: Path,
    train_scenes: Sequence[Path] = (),
    labels: Sequence[Path] = (),
    family: str | None = None,
) -> Manifest:
    """Lift scenes; write lifted.zarr, rows.jsonl, metrics.json and their manifest.

    Args:
        model: train manifest, or folder with mllm/ and heads/
        scenes: manifests of the test scenes, whose geometry is the ground truth
        config: settings
        out: manifest to write; its payload goes into the same folder
        train_scenes: manifests of training scenes with geometry, or of their labels, for the
            baseline of mean depth; by default it is not computed
        labels: manifests of labels, for scenes without geometry
        family: MODULE:CLASS of an MLLM adapter outside this package; its code is executed

    Returns:
        The manifest.

    Raises:
        ValueError: The model has no heads, scenes are missing, or a scene has no geometry and no
            labels.
    """
    if not scenes:
        raise ValueError("Found no scenes to lift. Give manifests of test scenes, or photos.")
    lifter = ModelWithHeads(model, config.batch_size, family)
    baseline = mean_depth(train_scenes, lifter.size) if train_scenes else None
    rows: list[dict[str, Any]] = []
    pairs: list[PoseErrors] = []
    parts: list[Scenes] = []
    known = by_id(group for path in labels for group in _read(path))
    for group in (fill_geometry(group, known) for path in scenes for group in _read(path)):
        truth = ground_truth(group, lifter.size)
        for batch, lifted in lifter.lift_scenes(group):
            ids, poses = group.ids[batch], None
            if {"depth", "rays"} <= set(lifter.tasks):
                parts.append(as_scenes(lifted, ids, source=f"lifted:{_model_name(model)}"))
                poses = torch.from_numpy(parts[-1].cam_to_world)
            errors, pose_pairs = measure_batch(lifted, truth.select(batch), poses)
            if baseline is not None:
                mean = with_views(baseline, group.shape[0], float(baseline.mean()))
                extra = baseline_batch(mean, truth.select(batch))
                errors = [a | b for a, b in zip(errors, extra, strict=True)]
            pairs += pose_pairs
            rows += [{"scene": i} | row for i, row in zip(ids, errors, strict=True)]
    return _write(out, config, model, rows, summarise(rows, pairs), parts)


def _read(path: Path) -> list[Scenes]:
    return load_groups(read_manifest(path).find(".zarr"), ["image", "depth"])


def _write(
    out: Path,
    config: LiftConfig,
    model: Path,
    rows: list[dict[str, Any]],
    metrics: dict[str, float],
    parts: list[Scenes],
) -> Manifest:
    folder = out.parent
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "metrics.json", metrics)
    write_text(folder / "rows.jsonl", "".join(json.dumps(_finite(row)) + "\n" for row in rows))
    payload = {name: digest_path(folder / name) for name in ("metrics.json", "rows.jsonl")}
    if parts:
        payload["lifted.zarr"] = write_groups(folder / "lifted.zarr", group_by_shape(parts))
    about: dict[str, Any] = {"model": str(model), "unit": "mean distance of a scene's points"}
    if model.suffix == ".json":
        about["trained"] = digest_bytes(model.read_bytes())
    manifest = Manifest(
        stage="lift",
        payload=payload,
        counts={"scenes": len(rows)},
        config=to_mapping(config),
        about=about,
    )
    write_manifest(out, manifest)
    return replace(manifest, path=out)


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with null for values that could not be measured."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }


def _model_name(model: Path) -> str:
    """Return the last three folder names: base/arm/seed for a training job."""
    folder = model.parent if model.suffix == ".json" else model
    return "/".join(folder.parts[-3:])
