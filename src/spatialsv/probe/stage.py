"""The stage: a frozen model, training and test scenes in; what probes read from it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from torch import Tensor

from spatialsv.config import to_mapping
from spatialsv.io.atomic import write_json
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.probe.cells import Cells
from spatialsv.probe.curves import best_metrics, intervals_of, layer_curves
from spatialsv.probe.depth import (
    Errors,
    errors_of,
    mean_depth,
    means_of,
    placed,
    probe_depth,
    standardised_taps,
    target_of,
)
from spatialsv.probe.features import Groups, States, shuffled
from spatialsv.probe.fit import FitConfig
from spatialsv.probe.layers import Layer, LayerProbes, LayersConfig
from spatialsv.probe.source import Source
from spatialsv.progress import progress
from spatialsv.scenes.scene import Scenes, grouped, stack
from spatialsv.scenes.singly import ById, Singly, labelled, labels_of
from spatialsv.scenes.store import read_groups, write_groups
from spatialsv.teachers.exact import ExactTeacher

Control = Literal["shuffled", "random"]


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """What is probed, and how."""

    taps: tuple[int, int, int, int] | None = None  # as in HF hidden_states; None: spread evenly
    stride: int = 2  # of the pixels whose depth is learnt and measured
    max_scenes: int | None = None  # training scenes, the first ones; None: all
    feature_batch: int = 8  # scenes a forward pass of the MLLM
    controls: tuple[Control, ...] = ()  # probes of what a probe alone can do; each costs another
    seed: int = 0
    fit: FitConfig = field(default_factory=FitConfig)
    layers: LayersConfig = field(default_factory=LayersConfig)


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
    """Train probes on the frozen `model`, measure them; write metrics.json, layers.json and `out`.

    depth.zarr has what the depth probe reads of the test scenes, at their known cameras.

    The metrics are means over the test scenes against their exact depth, names and alignments as
    in `scene_depth_errors` and `affine_depth_errors`. With `shuffled_` or `random_` before the name
    they are of a control: features given to other scenes, or those of an MLLM with random weights.
    With `mean_depth_` before it, of each pixel's mean depth over the training scenes, which looks
    at nothing. `linear_` ones are of the linear probes, see `best_metrics`; layers.json has all of
    theirs, see `layer_curves`, and intervals of the depth probe's.

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
    seen = first_of(read_all(scenes, "scenes"), config.max_scenes)
    stand_ins = ById(read_all(test_labels)) if test_labels else {}
    test = [labelled(group, stand_ins) for group in read_all(test_scenes, "test scenes")]
    given = ById(read_all(labels) if labels else map(exact.label, seen))
    taught = [stack(list(labels_of(group.ids, given))) for group in seen]
    known = [exact.label(group) for group in test]
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=".states.") as folder:
        source = Source(
            model=model,
            family=family,
            splits={"train": seen, "test": test},
            taps=config.taps,
            layers=config.layers.states,
            batch_size=config.feature_batch,
            seed=config.seed,
            keep=config.layers.cache,
            meanwhile=Path(folder),
        )
        states, fresh = source.states(), {}
        if "random" in config.controls or (source.layers and "random" in config.layers.controls):
            fresh = source.states(random_weights=True)
        depth, errors = _depth(states, fresh, taught, known, config)
        metrics = {
            n: mean for prefix in errors for n, mean in means_of(errors[prefix], prefix).items()
        }
        record = None
        if source.layers:
            record = _layers(source.layers, states, fresh, taught, known, config)
            record["taps"] = list(source.taps)
            record["dpt"] = {prefix: intervals_of(of) for prefix, of in errors.items()}
            metrics |= best_metrics(record)
    metrics["scenes"] = sum(map(len, test))
    read = [
        placed(depths, group, config.stride, "probe")
        for depths, group in zip(depth, known, strict=True)
    ]
    about = {"model": str(model), "labels": next(iter(given.values())).source}
    return _finish(out, metrics, record, read, config, about, sum(map(len, seen)))


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
    return grouped(Singly(groups)[:count])


def _depth(
    states: Mapping[str, Sequence[States]],
    fresh: Mapping[str, Sequence[States]],
    taught: Sequence[Scenes],
    known: Sequence[Scenes],
    config: ProbeConfig,
) -> tuple[list[Tensor], dict[str, Errors]]:
    """The depth probe's depth; its errors and its controls', by the prefix of their names."""
    target, truth = ([target_of(group, config.stride) for group in of] for of in (taught, known))

    def read(taps: Mapping[str, Groups], label: str) -> list[Tensor]:
        return probe_depth(taps, target, truth, config.fit, config.seed, label)

    taps = standardised_taps(states)
    depth = read(taps, "probe")
    found = {"": errors_of(depth, truth)}
    if "shuffled" in config.controls:
        mixed = {k: [shuffled(x, config.seed) for x in groups] for k, groups in taps.items()}
        found["shuffled_"] = errors_of(read(mixed, "probe shuffled"), truth)
    if "random" in config.controls:
        found["random_"] = errors_of(read(standardised_taps(fresh), "probe random"), truth)
    found["mean_depth_"] = errors_of([mean_depth(target, one) for one in truth], truth)
    return depth, found


def _layers(
    layers: Sequence[int],
    states: Mapping[str, Sequence[States]],
    fresh: Mapping[str, Sequence[States]],
    taught: Sequence[Scenes],
    known: Sequence[Scenes],
    config: ProbeConfig,
) -> dict[str, Any]:
    """The record of the linear probes of `layers`, and of their controls."""
    side, controls = config.layers.pixels, config.layers.controls
    cells = [
        [
            Cells.of(scenes, tuple(group.layers[layers[0]].shape[2:4]), side)
            for scenes, group in zip(of, states[split], strict=True)
        ]
        for split, of in (("train", taught), ("test", known))
    ]
    probes = LayerProbes(*cells, config.layers)
    orders = probes.shuffle(config.seed)

    def pair(of: Mapping[str, Sequence[States]], layer: int, mixed: bool) -> list[Layer]:
        return [
            Layer([group.layers[layer] for group in of[split]], order if mixed else None)
            for split, order in zip(("train", "test"), orders, strict=True)
        ]

    found = [probes(*pair(states, layer, False)) for layer in progress(layers, "layers")]
    against = {}
    if "position" in controls:
        against["position"] = [probes.position()]
    if "shuffled" in controls:
        mixed = progress(layers, "layers, shuffled")
        against["shuffled"] = [probes(*pair(states, layer, True)) for layer in mixed]
    if "random" in controls:
        untaught = progress(layers, "layers, random weights")
        against["random"] = [probes(*pair(fresh, layer, False)) for layer in untaught]
    return layer_curves(layers, found, against)


def _finish(
    out: Path,
    metrics: dict[str, float | int],
    record: dict[str, Any] | None,
    read: list[Scenes],
    config: ProbeConfig,
    about: dict[str, Any],
    scenes: int,
) -> Manifest:
    written = {"metrics.json": metrics} | ({} if record is None else {"layers.json": record})
    (out.parent / "layers.json").unlink(missing_ok=True)
    for name, value in written.items():
        write_json(out.parent / name, value)
    payload = {name: digest_path(out.parent / name) for name in written}
    payload["depth.zarr"] = write_groups(out.parent / "depth.zarr", read)
    manifest = Manifest(
        stage="probe",
        payload=payload,
        counts={"scenes": scenes, "test_scenes": int(metrics["scenes"])},
        config=to_mapping(config),
        about=about,
    )
    write_manifest(out, manifest)
    return replace(manifest, path=out)
