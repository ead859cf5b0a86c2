"""The stage: probe a frozen model on training scenes, and measure the probes on test scenes."""

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
from spatialsv.probe.causal.measure import CausalConfig
from spatialsv.probe.causal.stage import FILE, measure_use
from spatialsv.probe.cells import Cells
from spatialsv.probe.curves import best_metrics, layer_curves, metric_intervals
from spatialsv.probe.depth import (
    DepthTarget,
    Errors,
    FitConfig,
    Groups,
    depth_as_scenes,
    depth_errors,
    mean_depth,
    mean_errors,
    probe_depth,
    scaled_taps,
    shuffle_scenes,
)
from spatialsv.probe.layers import LayerProbes, LayersConfig, LayerStates, ProbeResult
from spatialsv.probe.states import States, StateSource
from spatialsv.progress import progress
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.scene_list import (
    SceneList,
    by_id,
    fill_geometry,
    group_by_shape,
    select_labels,
    stack,
)
from spatialsv.scenes.store import load_groups, write_groups
from spatialsv.teachers.exact import ExactTeacher

Control = Literal["shuffled", "random"]
SplitStates = Mapping[str, Sequence[States]]  # of the groups of "train" and of "test"


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """What is probed, and how."""

    #: As in HF hidden_states; None: four, evenly spaced.
    taps: tuple[int, int, int, int] | None = None
    stride: int = 2  # pixels between those whose depth is learnt and measured
    max_scenes: int | None = None  # training scenes, the first ones; None: all
    feature_batch: int = 8  # scenes in a forward pass of the MLLM
    #: Each trains another depth probe: on the states of other scenes (prefix `shuffled_` of
    #: metrics), or of an MLLM with random weights (`random_`). `mean_depth_`, each pixel's mean
    #: depth over the training scenes, is always there.
    controls: tuple[Control, ...] = ()
    seed: int = 0  # of initial weights and sample order
    fit: FitConfig = field(default_factory=FitConfig)  # training of the depth probe
    layers: LayersConfig = field(default_factory=LayersConfig)  # linear probes
    #: Also change states, and test whether answers follow; for rooms with two free views only.
    causal: CausalConfig | None = None


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
    """Train probes on a frozen model; write metrics.json, layers.json, depth.zarr, and a manifest.

    depth.zarr has the depth probe's prediction for the test scenes, at their true cameras.
    Metrics are means over the test scenes against their exact depth, with names and alignments of
    `scene_depth_errors` and `affine_depth_errors`. Prefixes name controls, as `ProbeConfig` says,
    and linear probes: `linear_`, see `best_metrics`. layers.json has all of these, see
    `layer_curves`, and intervals of the depth probe's metrics. causal.json is of `config.causal`.

    Args:
        model: train manifest, or folder with mllm/ or of a checkpoint
        scenes: manifests of the training scenes
        labels: manifests of their labels; by default the scenes' own geometry
        test_scenes: manifests of the scenes to measure on
        config: settings
        out: manifest to write; its payload goes into the same folder
        test_labels: manifests of labels, for test scenes without geometry
        family: MODULE:CLASS of an MLLM adapter outside this package; its code is executed

    Returns:
        The manifest.

    Raises:
        ValueError: Scenes are missing, or have no labels or geometry.
    """
    train = first_scenes(read_all(scenes, "scenes"), config.max_scenes)
    stand_ins = by_id(read_all(test_labels)) if test_labels else {}
    test = [fill_geometry(group, stand_ins) for group in read_all(test_scenes, "test scenes")]
    labels_by_id = by_id(read_all(labels) if labels else map(ExactTeacher().label, train))
    truth = {"train": [stack(list(select_labels(group.ids, labels_by_id))) for group in train]}
    truth["test"] = [ExactTeacher().label(group) for group in test]
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=".states.") as folder:
        source = StateSource(
            model=model,
            family=family,
            splits={"train": train, "test": test},
            taps=config.taps,
            layers=config.layers.states,
            batch_size=config.feature_batch,
            seed=config.seed,
            cache=config.layers.cache,
            temporary=Path(folder),
        )
        predicted, metrics, record = _probe(source, truth, config)
    files: dict[str, Any] = {"metrics.json": metrics} | ({"layers.json": record} if record else {})
    if config.causal is not None:
        files[FILE], _ = measure_use(model, scenes, test_scenes, config.causal, family)
    about = {"model": str(model), "labels": next(iter(labels_by_id.values())).source}
    return _write(out, files, predicted, config, about, sum(map(len, train)))


def _probe(
    source: StateSource, truth: Mapping[str, Sequence[Scenes]], config: ProbeConfig
) -> tuple[list[Scenes], dict[str, float | int], dict[str, Any] | None]:
    """Return the predicted depth as scenes, all metrics, and the record of the layers, if any."""
    states: SplitStates = source.states()
    random_states: SplitStates = {}
    if "random" in config.controls or (source.layers and "random" in config.layers.controls):
        random_states = source.states(random_weights=True)
    depth, errors = _probe_depth(states, random_states, truth, config)
    metrics: dict[str, float | int] = {}
    for prefix in errors:
        metrics |= mean_errors(errors[prefix], prefix)
    record = None
    if source.layers:
        record = _probe_layers(source.layers, states, random_states, truth, config)
        record["taps"] = list(source.taps)
        record["dpt"] = {prefix: metric_intervals(of) for prefix, of in errors.items()}
        metrics |= best_metrics(record)
    metrics["scenes"] = sum(map(len, truth["test"]))
    predicted = [
        depth_as_scenes(values, group, config.stride, "probe")
        for values, group in zip(depth, truth["test"], strict=True)
    ]
    return predicted, metrics, record


def read_all(paths: Sequence[Path], kind: str = "labels") -> list[Scenes]:
    """Read all scenes of manifests, as one group for each shape; there must be a manifest."""
    if not paths:
        raise ValueError(f"The probe has no {kind}. Give at least one manifest.")
    names = ["image", "depth"]
    return group_by_shape(
        s for path in paths for s in load_groups(read_manifest(path).find(".zarr"), names)
    )


def first_scenes(groups: list[Scenes], count: int | None) -> list[Scenes]:
    """Return the first `count` scenes of all groups; None for all scenes."""
    return groups if count is None else group_by_shape(SceneList(groups)[:count])


def _probe_depth(
    states: SplitStates,
    random_states: SplitStates,
    truth: Mapping[str, Sequence[Scenes]],
    config: ProbeConfig,
) -> tuple[list[Tensor], dict[str, Errors]]:
    """Return the depth probe's prediction; its errors and its controls', by prefix."""
    target, test = (
        [DepthTarget.from_labels(group, config.stride) for group in truth[split]]
        for split in ("train", "test")
    )

    def predict(taps: Mapping[str, Groups], label: str) -> list[Tensor]:
        return probe_depth(taps, target, test, config.fit, config.seed, label)

    taps = scaled_taps(states)
    depth = predict(taps, "probe")
    errors = {"": depth_errors(depth, test)}
    if "shuffled" in config.controls:
        mixed = {k: [shuffle_scenes(x, config.seed) for x in groups] for k, groups in taps.items()}
        errors["shuffled_"] = depth_errors(predict(mixed, "probe shuffled"), test)
    if "random" in config.controls:
        errors["random_"] = depth_errors(predict(scaled_taps(random_states), "probe random"), test)
    errors["mean_depth_"] = depth_errors([mean_depth(target, one) for one in test], test)
    return depth, errors


def _probe_layers(
    layers: Sequence[int],
    states: SplitStates,
    random_states: SplitStates,
    truth: Mapping[str, Sequence[Scenes]],
    config: ProbeConfig,
) -> dict[str, Any]:
    """Return the record of the linear probes of `layers`, and of their controls."""
    side, controls = config.layers.pixels, config.layers.controls
    train, test = (
        [
            Cells.from_labels(labels, group.grid(layers[0]), side)
            for labels, group in zip(truth[split], states[split], strict=True)
        ]
        for split in ("train", "test")
    )
    probes = LayerProbes(train, test, config.layers)
    orders = probes.shuffle(config.seed)

    def probe_all(of: SplitStates, label: str, shuffled: bool = False) -> list[ProbeResult]:
        return [
            probes(
                *(
                    LayerStates([g.layers[layer] for g in of[split]], order if shuffled else None)
                    for split, order in zip(("train", "test"), orders, strict=True)
                )
            )
            for layer in progress(layers, label)
        ]

    results = probe_all(states, "layers")
    control_results: dict[str, list[ProbeResult]] = {}
    if "position" in controls:
        control_results["position"] = [probes.position()]
    if "shuffled" in controls:
        control_results["shuffled"] = probe_all(states, "layers, shuffled", shuffled=True)
    if "random" in controls:
        control_results["random"] = probe_all(random_states, "layers, random weights")
    return layer_curves(layers, results, control_results)


def _write(
    out: Path,
    files: dict[str, Any],
    predicted: list[Scenes],
    config: ProbeConfig,
    about: dict[str, Any],
    scenes: int,
) -> Manifest:
    for name in ("layers.json", FILE):
        (out.parent / name).unlink(missing_ok=True)
    for name, value in files.items():
        write_json(out.parent / name, value)
    payload = {name: digest_path(out.parent / name) for name in files}
    payload["depth.zarr"] = write_groups(out.parent / "depth.zarr", predicted)
    test_scenes = int(files["metrics.json"]["scenes"])
    manifest = Manifest(
        stage="probe",
        payload=payload,
        counts={"scenes": scenes, "test_scenes": test_scenes},
        config=to_mapping(config),
        about=about,
    )
    write_manifest(out, manifest)
    return replace(manifest, path=out)
