"""The stage on a tiny model of random weights."""

import json
from dataclasses import replace

import pytest
import torch

from spatialsv.manifest import Manifest, read_manifest, write_manifest
from spatialsv.probe import ProbeConfig, run
from spatialsv.probe.features import load_frozen, spread_taps, visual_features
from spatialsv.probe.fit import FitConfig
from spatialsv.scenes.store import write_store

CONFIG = ProbeConfig(fit=FitConfig(steps=4, batch_size=2), controls=("shuffled", "random"))


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


def test_the_same_seed_gives_the_same_probe(tiny_mllm, shards, tmp_path):
    found = []
    for name in ("a", "b"):
        out = tmp_path / name / "manifest.json"
        config = replace(CONFIG, controls=())
        run(tiny_mllm, [shards["train"]], [], [shards["test"]], config, out)
        found.append((tmp_path / name / "metrics.json").read_text())
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


def test_features_do_not_depend_on_their_batch_and_random_weights_differ(tiny_mllm, tiny_scenes):
    model = load_frozen(tiny_mllm, random_weights=False, seed=0)
    taps = spread_taps(model.mllm)
    assert taps == (1, 2, 3, 4)
    one, two = (visual_features(model, tiny_scenes, taps, b, "x") for b in (1, 4))
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    fresh = load_frozen(tiny_mllm, random_weights=True, seed=1)
    other = visual_features(fresh, tiny_scenes, taps, 4, "x")
    assert not torch.allclose(other[-1], two[-1], atol=1e-2)
    assert not any(p.requires_grad for p in fresh.parameters())
