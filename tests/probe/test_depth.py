"""The probe learns depth that the features hold, and only that."""

import pytest
import torch
from torch.testing import assert_close

from spatialsv.model.dpt import DPTConfig
from spatialsv.probe.depth import (
    DepthTarget,
    FitConfig,
    fit_probe,
    mean_depth,
    predict,
    scaled_taps,
    shuffle_scenes,
)
from spatialsv.probe.states import States


def make(scenes: int, seed: int) -> tuple[list[torch.Tensor], DepthTarget]:
    """One number a scene, its log depth, hidden in the features of every token."""
    generator = torch.Generator().manual_seed(seed)
    log = torch.randn(scenes, 1, 1, 1, generator=generator)
    depth = (0.5 * log).exp().expand(scenes, 2, 8, 8).contiguous()
    base = torch.randn(scenes, 2, 4, 4, 6, generator=generator)
    base[..., 0] = log
    target = DepthTarget(depth, torch.ones_like(depth, dtype=torch.bool))
    return [base, base * 2, base + 1, -base], target


def error(train, test, target, truth) -> float:
    small = DPTConfig(width=8, reassembly=(8, 8, 8, 8), output_width=8)
    config = FitConfig(steps=80, batch_size=16, lr=1e-2, dpt=small)
    head = fit_probe([train], [target], config, seed=0, label="probe")
    return float((predict(head, test, (8, 8), 5).log() - truth.depth.log()).abs().mean())


def test_depth_is_found_where_it_is_and_not_where_features_are_shuffled():
    (train, target), (test, truth) = make(64, 1), make(16, 2)
    found = error(train, test, target, truth)
    chance = error(shuffle_scenes(train, 0), shuffle_scenes(test, 0), target, truth)
    assert found < 0.1
    assert chance > 0.3


def test_scenes_of_several_shapes_teach_one_head():
    (train, target), (test, truth) = make(64, 1), make(16, 2)
    parts = [slice(0, 48), slice(48, 64)]
    cut = [[x[part] for x in train] for part in parts]
    cut[1] = [x[:, :1] for x in cut[1]]  # the second have one view, and smaller maps of depth
    targets = [target.select(torch.arange(64)[part]) for part in parts]
    targets[1] = DepthTarget(targets[1].depth[:, :1, :6], targets[1].valid[:, :1, :6])
    small = DPTConfig(width=8, reassembly=(8, 8, 8, 8), output_width=8)
    config = FitConfig(steps=80, batch_size=16, lr=1e-2, dpt=small)
    head = fit_probe(cut, targets, config, seed=0, label="probe")
    found = predict(head, test, (8, 8), 5)
    assert float((found.log() - truth.depth.log()).abs().mean()) < 0.1


def test_invalid_depth_teaches_nothing():
    features, target = make(8, 1)
    valid = target.valid.clone()
    valid[:, 1] = False
    heads = []
    for fill in (0.0, 1e6):
        filled = DepthTarget(torch.where(valid, target.depth, fill), valid)
        heads.append(fit_probe([features], [filled], FitConfig(steps=3), seed=0, label="probe"))
    for one, other in zip(heads[0].parameters(), heads[1].parameters(), strict=True):
        assert_close(one, other, rtol=0, atol=0)


def test_standardised_by_the_training_scenes():
    features, _ = make(32, 1)
    other, _ = make(32, 2)
    states = {"train": [States(features, {})], "test": [States(other, {})]}
    scaled = scaled_taps(states)
    for x in scaled["train"][0]:
        flat = x.flatten(0, -2)
        assert_close(flat.mean(dim=0), torch.zeros(6), atol=1e-5, rtol=0)
        assert_close(flat.std(dim=0), torch.ones(6))
    assert scaled["test"][0][0].mean().abs() > 1e-4


def test_shuffling_moves_whole_scenes_alike_at_every_tap():
    features, _ = make(8, 1)
    mixed = shuffle_scenes(features, 0)
    assert_close(mixed[1], mixed[0] * 2)
    assert not torch.equal(mixed[0], features[0])
    assert_close(mixed[0].sum(dim=0), features[0].sum(dim=0))


@pytest.mark.parametrize("scenes", [2, 3, 5])
def test_no_scene_keeps_its_own_features(scenes):
    features = [torch.arange(1.0 * scenes).reshape(-1, 1, 1, 1, 1)]
    for seed in range(20):
        assert (shuffle_scenes(features, seed)[0] != features[0]).all()
    assert shuffle_scenes([torch.ones(1, 1, 1, 1, 1)], 0)[0].item() == 1  # alone in its shape


def test_mean_depth_leaves_out_invalid_pixels():
    depth = torch.tensor([1.0, 3.0])[:, None, None, None].expand(2, 1, 2, 2)
    valid = torch.ones(2, 1, 2, 2, dtype=torch.bool)
    valid[0, 0, 0, 0] = False
    valid[:, 0, 1, 1] = False
    known = DepthTarget(depth, valid)
    mean = mean_depth([known], known)
    assert_close(mean[1, 0], torch.tensor([[3.0, 2.0], [2.0, 11 / 5]]))
    other = DepthTarget(depth[..., :1], valid[..., :1])
    assert_close(mean_depth([known], other), torch.full((2, 1, 2, 1), 11 / 5))


def test_nothing_to_learn_is_said():
    features, target = make(4, 1)
    with pytest.raises(ValueError, match="No depth is valid"):
        unknown = DepthTarget(target.depth, ~target.valid)
        fit_probe([features], [unknown], FitConfig(), seed=0, label="probe")
