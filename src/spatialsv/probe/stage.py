"""The stage: a frozen model, training and test scenes in; a probe's depth errors out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from spatialsv.config import to_mapping
from spatialsv.geometry.aligned import scene_depth_errors
from spatialsv.geometry.camera import subsample
from spatialsv.manifest import Manifest, digest_path, read_manifest, write_json, write_manifest
from spatialsv.probe.features import (
    Features,
    Standardise,
    load_frozen,
    shuffled,
    spread_taps,
    visual_features,
)
from spatialsv.probe.fit import DepthTarget, FitConfig, fit_probe, predict
from spatialsv.scenes.scene import Scenes, stack
from spatialsv.scenes.store import read_store
from spatialsv.teachers.exact import ExactTeacher

Control = Literal["shuffled", "random"]


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """What is probed, and how."""

    taps: tuple[int, int, int, int] | None = None  # as in HF hidden_states; None: spread evenly
    stride: int = 2  # of the pixels whose depth is learnt and measured
    scenes: int | None = None  # of the training scenes, the first so many; None: all
    feature_batch: int = 8  # scenes a forward pass of the MLLM
    controls: tuple[Control, ...] = ()  # probes of what a probe alone can do; each costs another
    seed: int = 0
    fit: FitConfig = field(default_factory=FitConfig)


def run(
    model: Path,
    scenes: Sequence[Path],
    labels: Sequence[Path],
    test_scenes: Sequence[Path],
    config: ProbeConfig,
    out: Path,
) -> Manifest:
    """Train a depth probe on the frozen `model`, measure it, write metrics.json and `out`.

    The metrics are means over the test scenes against their exact depth, names and alignments as
    in `scene_depth_errors`. With `shuffled_` or `random_` before the name they are of a control:
    features given to other scenes, or those of an MLLM with random weights. With `mean_depth_`
    before it, of each pixel's mean depth over the training scenes, which looks at nothing.

    Args:
        model: a train manifest, or a folder with mllm/ or an MLLM's checkpoint.
        scenes: manifests of the training scenes.
        labels: manifests of their labels; without any the scenes' own geometry is learnt.
        test_scenes: manifests of scenes with exact geometry.

    Raises:
        ValueError: no scenes, scenes without labels, or images of different shapes.
    """
    seen, test = read_stack(scenes), read_stack(test_scenes)
    given = read_stack(labels) if labels else ExactTeacher().label(seen)
    if config.scenes is not None:
        seen = seen.select(slice(config.scenes))
    target = target_of(pick(given, seen.ids), config.stride)
    truth = target_of(ExactTeacher().label(test), config.stride)
    trained = _features(model, seen, test, config, random_weights=False)
    metrics = _probe(*trained, target, truth, config, "probe")
    if "shuffled" in config.controls:
        mixed = [shuffled(x, config.seed) for x in trained]
        metrics |= _named("shuffled", _probe(*mixed, target, truth, config, "probe shuffled"))
    if "random" in config.controls:
        fresh = _features(model, seen, test, config, random_weights=True)
        metrics |= _named("random", _probe(*fresh, target, truth, config, "probe random"))
    mean = mean_depth(target).expand_as(truth.depth)
    metrics |= _named("mean_depth", _mean_errors(mean, truth))
    metrics["scenes"] = len(test)
    return _finish(out, metrics, config, {"model": str(model), "labels": given.source}, len(seen))


def read_stack(paths: Sequence[Path]) -> Scenes:
    """All scenes of these manifests as one."""
    names = ["image", "confidence"]
    return stack([read_store(read_manifest(path).find(".zarr"), names) for path in paths])


def pick(labels: Scenes, ids: tuple[str, ...]) -> Scenes:
    """The labels of the scenes `ids`, in their order.

    Raises:
        ValueError: a scene without labels.
    """
    rows = {name: row for row, name in enumerate(labels.ids)}
    missing = [name for name in ids if name not in rows]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(ids)} scenes have no labels by {labels.source}, such as"
            f" {missing[0]!r}: pass the labels manifest of every scenes manifest"
        )
    return labels.select([rows[name] for name in ids])


def target_of(labels: Scenes, stride: int) -> DepthTarget:
    """Depth at every `stride`-th pixel."""
    depth, valid, _ = subsample(
        torch.from_numpy(labels.depth).float(),
        torch.from_numpy(labels.valid),
        torch.from_numpy(labels.intrinsics),
        stride,
    )
    return DepthTarget(depth, valid)


def mean_depth(target: DepthTarget) -> Float[Tensor, "N H W"]:
    """Each pixel's mean over the scenes where it is valid, else the mean of all."""
    count = target.valid.sum(dim=0)
    total = target.depth.where(target.valid, 0).sum(dim=0)
    return torch.where(count > 0, total / count.clamp_min(1), total.sum() / count.sum())


def _features(
    model: Path, seen: Scenes, test: Scenes, config: ProbeConfig, random_weights: bool
) -> tuple[Features, Features]:
    """Standardised features of the training and of the test scenes."""
    frozen = load_frozen(model, random_weights, config.seed)
    frozen.to("cuda" if torch.cuda.is_available() else "cpu")
    taps = config.taps or spread_taps(frozen.mllm)
    train, held_out = (
        visual_features(frozen, scenes, taps, config.feature_batch, label)
        for scenes, label in ((seen, "features"), (test, "test features"))
    )
    standardise = Standardise.fit(train)
    return standardise(train), standardise(held_out)


def _probe(
    train: Features,
    test: Features,
    target: DepthTarget,
    truth: DepthTarget,
    config: ProbeConfig,
    label: str,
) -> dict[str, float]:
    head = fit_probe(train, target, config.fit, config.seed, label)
    size = tuple(truth.depth.shape[-2:])
    return _mean_errors(predict(head, test, size, config.fit.batch_size), truth)


def _mean_errors(depth: Float[Tensor, "S N H W"], truth: DepthTarget) -> dict[str, float]:
    errors = scene_depth_errors(depth, truth.depth, truth.valid)
    means = {name: float(values.nanmean()) for name, values in errors.items()}
    return {name: value for name, value in means.items() if math.isfinite(value)}


def _named(prefix: str, metrics: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}_{name}": value for name, value in metrics.items()}


def _finish(
    out: Path, metrics: dict[str, float], config: ProbeConfig, about: dict[str, Any], scenes: int
) -> Manifest:
    path = out.parent / "metrics.json"
    write_json(path, metrics)
    manifest = Manifest(
        stage="probe",
        payload={path.name: digest_path(path)},
        counts={"scenes": scenes, "test_scenes": int(metrics["scenes"])},
        config=to_mapping(config),
        about=about,
    )
    write_manifest(out, manifest)
    return replace(manifest, path=out)
