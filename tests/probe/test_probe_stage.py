"""The stage on a tiny model of random weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.tiny_families import SAVE
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.probe import ProbeConfig, run, states
from spatialsv.probe.cache import StateFiles
from spatialsv.probe.depth import DepthTarget, FitConfig, depth_errors, mean_errors
from spatialsv.probe.layers import LayersConfig
from spatialsv.probe.states import compute_states, evenly_spaced_taps, load_frozen
from spatialsv.scenes.store import load_groups, write_store
from spatialsv.teachers.exact import ExactTeacher

CONFIG = ProbeConfig(fit=FitConfig(steps=4, batch_size=2), controls=("shuffled", "random"))
NO_LAYERS = LayersConfig(states=())


@pytest.fixture(scope="module")
def shards(tmp_path_factory, tiny_scenes, tiny_labels):
    folder = tmp_path_factory.mktemp("data")
    paths = {}
    for name, scenes in (
        ("train", tiny_scenes.select(slice(4))),
        ("test", tiny_scenes.select(slice(4, 6))),
        ("labels", tiny_labels),
    ):
        digest = write_store(folder / f"{name}.zarr", scenes)
        paths[name] = folder / f"{name}.json"
        write_manifest(paths[name], Manifest(stage=name, payload={f"{name}.zarr": digest}))
    return paths


def test_what_is_written(tiny_mllm, shards, tmp_path):
    out = tmp_path / "manifest.json"
    run(tiny_mllm, [shards["train"]], [shards["labels"]], [shards["test"]], CONFIG, out)
    manifest = read_manifest(out)
    metrics = json.loads(manifest.find("metrics.json").read_text())
    for prefix in ("", "shuffled_", "random_", "mean_depth_"):
        for name in ("abs_rel", "view_abs_rel", "raw_rmse"):
            assert 0 < metrics[prefix + name] < 10
    assert manifest.counts == {"scenes": 4, "test_scenes": 2}
    assert manifest.about["labels"] == "exact"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*manifest.payload, out.name])


def test_the_depth_that_is_kept_is_that_which_was_measured(tiny_mllm, shards, tmp_path):
    out, config = tmp_path / "manifest.json", replace(CONFIG, controls=(), layers=NO_LAYERS)
    run(tiny_mllm, [shards["train"]], [shards["labels"]], [shards["test"]], config, out)
    (kept,) = load_groups(out.with_name("depth.zarr"))
    (test,) = load_groups(shards["test"].with_suffix(".zarr"), ["depth"])
    known = ExactTeacher().label(test)
    assert kept.ids == known.ids and kept.unit == "relative"
    np.testing.assert_array_equal(kept.cam_to_world, known.cam_to_world)
    np.testing.assert_array_equal(kept.scale, known.scale)
    np.testing.assert_allclose(kept.intrinsics[..., 0, 0], known.intrinsics[..., 0, 0] / 2)
    truth = [DepthTarget.from_labels(known, CONFIG.stride)]
    means = mean_errors(depth_errors([torch.from_numpy(kept.depth)], truth), "")
    metrics = json.loads(out.with_name("metrics.json").read_text())
    assert means == pytest.approx({name: metrics[name] for name in means}, rel=1e-5)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "internvl", "qwen3_vl"])
def test_every_layer_is_probed_for_every_task(family, shards, tmp_path):
    model, out = SAVE[family](tmp_path / "model"), tmp_path / "out" / "manifest.json"
    config = replace(CONFIG, controls=())
    run(model, [shards["train"]], [shards["labels"]], [shards["test"]], config, out)
    record = json.loads(read_manifest(out).find("layers.json").read_text())
    assert record["layers"] == [-1, 0, 1, 2, 3, 4] and record["taps"] == [1, 2, 3, 4]
    assert set(record["curves"]) == {"probe", "position", "shuffled", "random"}
    for name, curves in record["curves"].items():
        for metric in record["headlines"].values():
            assert len(curves[metric]) == (1 if name == "position" else 6)
            for number in curves[metric]:
                assert number["low"] <= number["mean"] <= number["high"]
    assert record["dpt"][""]["raw_rmse"]["low"] > 0
    metrics = json.loads(out.with_name("metrics.json").read_text())
    best = record["layers"].index(record["best"]["depth"])
    probe, control = (record["curves"][name]["raw_rmse"][best] for name in ("probe", "random"))
    assert metrics["linear_raw_rmse"] == probe["mean"]
    assert metrics["random_linear_raw_rmse"] == control["mean"]
    gap = record["selectivity"]["random"]["raw_rmse"][best]["mean"]
    assert gap == pytest.approx(control["mean"] - probe["mean"])


def test_chosen_layers_and_no_layers(tiny_mllm, shards, tmp_path):
    out, manifests = tmp_path / "manifest.json", ([shards["train"]], [], [shards["test"]])
    config = ProbeConfig(layers=LayersConfig(states=(0, 3), controls=("position",)))
    run(tiny_mllm, *manifests, replace(config, fit=CONFIG.fit), out)
    record = json.loads((tmp_path / "layers.json").read_text())
    assert record["layers"] == [0, 3] and set(record["curves"]) == {"probe", "position"}
    run(tiny_mllm, *manifests, replace(CONFIG, layers=NO_LAYERS), out)
    assert not (tmp_path / "layers.json").exists()
    assert "linear_raw_rmse" not in json.loads((tmp_path / "metrics.json").read_text())
    with pytest.raises(ValueError, match=r"states \[5\].*up to 4"):
        run(tiny_mllm, *manifests, ProbeConfig(layers=LayersConfig(states=(0, 5))), out)


def test_states_that_were_kept_are_not_made_again(tiny_mllm, shards, tmp_path, monkeypatch):
    layers = LayersConfig(cache=str(tmp_path / "kept"), states=(-1, 4), controls=("random",))
    config, manifests = replace(CONFIG, layers=layers), ([shards["train"]], [], [shards["test"]])
    run(tiny_mllm, *manifests, config, tmp_path / "a" / "manifest.json")

    def fail(*_):
        raise AssertionError("the MLLM is loaded")

    monkeypatch.setattr(states, "load_frozen", fail)
    run(tiny_mllm, *manifests, config, tmp_path / "b" / "manifest.json")
    for name in ("metrics.json", "layers.json"):
        assert (tmp_path / "a" / name).read_text() == (tmp_path / "b" / name).read_text()
    with pytest.raises(AssertionError, match="is loaded"):  # other scenes have states of their own
        run(tiny_mllm, *manifests, replace(config, max_scenes=3), tmp_path / "c" / "manifest.json")


def test_the_same_seed_gives_the_same_probe(tiny_mllm, shards, tmp_path):
    found = []
    for name in ("a", "b"):
        out = tmp_path / name / "manifest.json"
        config = replace(CONFIG, controls=())
        run(tiny_mllm, [shards["train"]], [], [shards["test"]], config, out)
        found.append([(tmp_path / name / f"{n}.json").read_text() for n in ("metrics", "layers")])
    assert found[0] == found[1]


def test_scenes_without_labels_are_named(tiny_mllm, shards, tmp_path):
    with pytest.raises(ValueError, match="plane-0"):
        run(
            tiny_mllm,
            [shards["train"]],
            [shards["test"]],
            [shards["test"]],
            CONFIG,
            tmp_path / "manifest.json",
        )


def test_features_do_not_depend_on_their_batch_and_random_weights_differ(
    tiny_mllm, tiny_scenes, tmp_path
):
    model = load_frozen(tiny_mllm, random_weights=False, seed=0)
    taps = evenly_spaced_taps(model.mllm)
    assert taps == (1, 2, 3, 4)

    def features(model, batch):
        files = StateFiles(tmp_path / f"{id(model)}-{batch}")
        found = compute_states(model, tiny_scenes, taps, (), batch, "x", files, {})
        return [found[f"tap{i}"] for i in range(4)]

    one, two = (features(model, b) for b in (1, 4))
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    fresh = load_frozen(tiny_mllm, random_weights=True, seed=1)
    other = features(fresh, 4)
    assert not torch.allclose(other[-1], two[-1], atol=1e-2)
    assert not any(p.requires_grad for p in fresh.parameters())
