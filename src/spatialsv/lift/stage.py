"""The stage: a model and test scenes in; lifted geometry, a row of errors a scene, metrics out."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from spatialsv.config import to_mapping
from spatialsv.io.atomic import write_json, write_text
from spatialsv.io.digests import digest_bytes, digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.lift.forward import Lifter, as_scenes
from spatialsv.lift.measure import baseline_batch, measure_batch, summarise
from spatialsv.lift.truth import mean_depth, of_views, truth_of
from spatialsv.scenes.scene import Scenes, grouped
from spatialsv.scenes.singly import ById, labelled
from spatialsv.scenes.store import read_groups, write_groups


@dataclass(frozen=True, kw_only=True)
class LiftConfig:
    """How geometry is read out of a model."""

    batch_size: int = 8  # scenes a forward pass


def run(
    model: Path,
    scenes: Sequence[Path],
    config: LiftConfig,
    out: Path,
    train_scenes: Sequence[Path] = (),
    labels: Sequence[Path] = (),
    family: str | None = None,
) -> Manifest:
    """Lift `scenes`; write lifted.zarr, rows.jsonl, metrics.json, and `out`.

    Args:
        model: a train manifest, or a folder with mllm/ and heads/.
        scenes: manifests of the test scenes; their geometry is what the errors are against.
        train_scenes: manifests to fit the per-pixel mean depth on, of scenes with geometry or of
            labels; without them that baseline is left out.
        labels: manifests of labels, which stand in for geometry that scenes have not.
        family: the name of an adapter from outside, for `load_mllm`.

    Raises:
        ValueError: a model without heads, no scenes, or scenes without geometry and labels.
    """
    if not scenes:
        raise ValueError("no scenes to lift: give the manifests of the test scenes, or photos")
    lifter = Lifter(model, config.batch_size, family)
    baseline = mean_depth(train_scenes, lifter.size) if train_scenes else None
    rows: list[dict[str, Any]] = []
    pairs, parts = [], []
    known = ById(group for path in labels for group in _read(path))
    for seen in (labelled(group, known) for path in scenes for group in _read(path)):
        truth = truth_of(seen, lifter.size)
        for where, lifted in lifter.lift(seen):
            ids, true = seen.ids[where], truth.rows(where)
            poses = None
            if {"depth", "rays"} <= set(lifter.tasks):
                parts.append(as_scenes(lifted, ids, source=f"lifted:{_name(model)}"))
                poses = torch.from_numpy(parts[-1].cam_to_world)
            measured, found = measure_batch(lifted, true, poses)
            if baseline is not None:
                guess = of_views(baseline, seen.shape[0], float(baseline.mean()))
                extra = baseline_batch(guess, true)
                measured = [a | b for a, b in zip(measured, extra, strict=True)]
            pairs += found
            rows += [{"scene": i} | row for i, row in zip(ids, measured, strict=True)]
    return _finish(out, config, model, rows, summarise(rows, pairs), parts)


def _read(path: Path) -> list[Scenes]:
    return read_groups(read_manifest(path).find(".zarr"), ["image"])


def _finish(
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
    _write_rows(folder / "rows.jsonl", rows)
    payload = {name: digest_path(folder / name) for name in ("metrics.json", "rows.jsonl")}
    if parts:
        payload["lifted.zarr"] = write_groups(folder / "lifted.zarr", grouped(parts))
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


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """JSON lines in one piece; what could not be measured is null."""
    lines = []
    for row in rows:
        clean = {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()
        }
        lines.append(json.dumps(clean) + "\n")
    write_text(path, "".join(lines))


def _name(model: Path) -> str:
    """The model's own folder names: base/arm/seed for a training job."""
    folder = model.parent if model.suffix == ".json" else model
    return "/".join(folder.parts[-3:])
