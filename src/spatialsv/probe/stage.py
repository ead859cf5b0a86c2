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
from spatialsv.geometry.camera import resample
from spatialsv.manifest import Manifest, digest_path, read_manifest, write_json, write_manifest
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.probe.features import (
    Groups,
    Standardise,
    load_frozen,
    shuffled,
    spread_taps,
    visual_features,
)
from spatialsv.probe.fit import DepthTarget, FitConfig, fit_probe, predict
from spatialsv.scenes.scene import Scenes, by_id, grouped, labelled, labels_of, singly, stack
from spatialsv.scenes.store import read_groups
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
    test_labels: Sequence[Path] = (),
    family: str | None = None,
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
        test_scenes: manifests of the scenes to measure on.
        test_labels: manifests of labels, which stand in for geometry that these have not.
        family: the name of an adapter from outside, for `load_mllm`.

    Raises:
        ValueError: no scenes, scenes without labels, or test scenes without geometry and labels.
    """
    exact = ExactTeacher()
    seen = first_of(read_all(scenes, "scenes"), config.scenes)
    stand_ins = by_id(read_all(test_labels)) if test_labels else {}
    test = [labelled(group, stand_ins) for group in read_all(test_scenes, "test scenes")]
    given = by_id(read_all(labels) if labels else map(exact.label, seen))
    target = [target_of(stack(labels_of(group.ids, given)), config.stride) for group in seen]
    truth = [target_of(exact.label(group), config.stride) for group in test]
    trained = _features(load_frozen(model, False, config.seed, family), seen, test, config)
    metrics = _probe(*trained, target, truth, config, "probe")
    if "shuffled" in config.controls:
        mixed = [[shuffled(x, config.seed) for x in groups] for groups in trained]
        metrics |= _named("shuffled", _probe(*mixed, target, truth, config, "probe shuffled"))
    if "random" in config.controls:
        fresh = _features(load_frozen(model, True, config.seed, family), seen, test, config)
        metrics |= _named("random", _probe(*fresh, target, truth, config, "probe random"))
    means = [mean_depth(target, known) for known in truth]
    metrics |= _named("mean_depth", _mean_errors(means, truth))
    metrics["scenes"] = sum(map(len, test))
    about = {"model": str(model), "labels": next(iter(given.values())).source}
    return _finish(out, metrics, config, about, sum(map(len, seen)))


def read_all(paths: Sequence[Path], what: str = "labels") -> list[Scenes]:
    """All scenes of these manifests, those of one shape together.

    Raises:
        ValueError: no manifests.
    """
    if not paths:
        raise ValueError(f"no {what} for the probe: give at least one manifest")
    names = ["image", "confidence"]
    return grouped(
        s for path in paths for s in read_groups(read_manifest(path).find(".zarr"), names)
    )


def first_of(groups: list[Scenes], count: int | None) -> list[Scenes]:
    """The first `count` scenes of `groups`; all, if None."""
    if count is None:
        return groups
    return grouped(singly(groups)[:count])


def target_of(labels: Scenes, stride: int) -> DepthTarget:
    """Depth at every `stride`-th pixel."""
    size = tuple(max(1, side // stride) for side in labels.shape[1:])
    depth, valid, _ = resample(
        torch.from_numpy(labels.depth).float(),
        torch.from_numpy(labels.valid),
        torch.from_numpy(labels.intrinsics),
        size,
    )
    return DepthTarget(depth, valid)


def mean_depth(targets: Sequence[DepthTarget], like: DepthTarget) -> Float[Tensor, "S N H W"]:
    """Each pixel's mean over the scenes of `like`'s shape where it is valid, else that of all.

    Args:
        targets: of the training scenes of each shape.
        like: the scenes that it is a guess for.
    """
    sums = [target.depth.where(target.valid, 0).sum(dim=0) for target in targets]
    counts = [target.valid.sum(dim=0) for target in targets]
    everywhere = sum(total.sum() for total in sums) / sum(count.sum() for count in counts)
    for total, count in zip(sums, counts, strict=True):
        if total.shape == like.depth.shape[1:]:
            mean = torch.where(count > 0, total / count.clamp_min(1), everywhere)
            return mean.expand_as(like.depth)
    return everywhere.expand_as(like.depth)


def _features(
    frozen: SpatialSV, seen: Sequence[Scenes], test: Sequence[Scenes], config: ProbeConfig
) -> tuple[Groups, Groups]:
    """Standardised features of the training and of the test scenes."""
    frozen.to("cuda" if torch.cuda.is_available() else "cpu")
    taps = config.taps or spread_taps(frozen.mllm)
    train, held_out = (
        [visual_features(frozen, group, taps, config.feature_batch, label) for group in groups]
        for groups, label in ((seen, "features"), (test, "test features"))
    )
    standardise = Standardise.fit(train)
    return [standardise(group) for group in train], [standardise(group) for group in held_out]


def _probe(
    train: Groups,
    test: Groups,
    target: list[DepthTarget],
    truth: list[DepthTarget],
    config: ProbeConfig,
    label: str,
) -> dict[str, float]:
    head = fit_probe(train, target, config.fit, config.seed, label)
    found = [
        predict(head, group, tuple(known.depth.shape[-2:]), config.fit.batch_size)
        for group, known in zip(test, truth, strict=True)
    ]
    return _mean_errors(found, truth)


def _mean_errors(
    depth: Sequence[Float[Tensor, "_ _ _ _"]], truth: Sequence[DepthTarget]
) -> dict[str, float]:
    """Over the scenes of all groups."""
    errors = [
        scene_depth_errors(found, known.depth, known.valid)
        for found, known in zip(depth, truth, strict=True)
    ]
    means = {name: float(torch.cat([e[name] for e in errors]).nanmean()) for name in errors[0]}
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
