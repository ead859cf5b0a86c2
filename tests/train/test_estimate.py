"""A step without values holds and computes what the same step does with them."""

import pytest
import torch

from helpers.tiny_families import SAVE
from spatialsv.config import from_mapping
from spatialsv.model.mllm import load_mllm
from spatialsv.samples.collate import Collate
from spatialsv.train import TrainConfig
from spatialsv.train.data import load_data
from spatialsv.train.estimate import MemoryTracker, estimate_step, without_values
from spatialsv.train.stage import make_model

SMALL = {
    "batch_size": 4,
    "heads": {"projector_width": 8, "output_size": [8, 8]},
    "label_stride": 4,
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    root = tmp_path_factory.mktemp("families")
    return lambda name: root / name if (root / name).is_dir() else SAVE[name](root / name)


@pytest.fixture
def prepare(job, checkpoint):
    """The model, with or without values, and one batch."""

    def prepare(values, family_name="qwen2_5_vl", arm="spatialsv", **settings):
        config = from_mapping(TrainConfig, SMALL | settings, "train")
        chosen = config.arm(arm)
        mllm, family = load_mllm(checkpoint(family_name), weights=values)
        data = load_data(arm, chosen, config, family, 0, job.scenes, job.labels, job.pseudo)
        with torch.device("cpu" if values else "meta"):
            model, _ = make_model(chosen, config, data, mllm, family)
        if config.gradient_checkpointing:
            model.mllm.activation_checkpointing_enable()
        draws = next(iter(data.sampler(config, 1, 0)))
        batch = Collate(processor=family, packed=config.packed)([data.pools[d] for d in draws])
        if not values:
            batch = without_values(model, batch)
        return model, batch, chosen, config

    return prepare


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"arm": "text", "packed": True, "questions_per_sample": 3},
        {"gradient_checkpointing": True, "precision": "bf16", "accumulation": 2},
        {"lora": {"rank": 4}},
        {"arm": "related", "arms": {"related": {"relation": 2}}},
        {"arm": "routed", "arms": {"routed": {"tasks": ["depth"], "pcgrad": True}}},
        *({"family_name": name} for name in SAVE if name != "qwen2_5_vl"),
    ],
    ids=str,
)
def test_nothing_is_lost_without_values(prepare, settings):
    fake, real = (
        estimate_step(*prepare(values, **settings), on_accelerator=False)
        for values in (False, True)
    )
    for name in ("weights", "gradients", "optimizer", "logits", "flops"):
        assert getattr(fake, name) == getattr(real, name), name
    for name in ("kept_mllm", "kept_heads", "kept_losses", "peak"):
        assert getattr(fake, name) == pytest.approx(getattr(real, name), rel=0.05), name
    assert fake.flops > 0 and fake.peak > fake.weights + fake.optimizer + fake.kept_mllm


def saved_bytes(prepare, **settings) -> int:
    """The memory of all tensors that autograd keeps of a real forward pass, each once."""
    model, batch, *_ = prepare(True, **settings)
    ours = {id(p.untyped_storage()) for p in [*model.parameters(), *model.buffers()]}
    given = {id(t.untyped_storage()) for t in batch.inputs.values()}
    found = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if id(storage) not in ours | given:
            found[id(storage)] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model.train()(batch)
    assert output.logits.requires_grad
    return sum(storage.nbytes() for storage in found.values())


@pytest.mark.parametrize("settings", [{}, {"gradient_checkpointing": True}], ids=str)
def test_what_is_kept_is_what_autograd_saves(prepare, settings):
    estimate = estimate_step(*prepare(False, **settings), on_accelerator=False)
    kept = estimate.kept_mllm + estimate.kept_heads
    assert kept == pytest.approx(saved_bytes(prepare, **settings), rel=0.15)


def test_checkpointing_keeps_less_and_computes_more(prepare):
    plain, less = (
        estimate_step(*prepare(False, gradient_checkpointing=on), on_accelerator=False)
        for on in (False, True)
    )
    assert less.kept_mllm < 0.5 * plain.kept_mllm
    assert less.flops > plain.flops


def test_processes_hold_parts_of_a_sharded_model_and_buckets_of_another(prepare):
    settings = {"arm": "text", "batch_size": 1}
    one, copies, parts = (
        estimate_step(*prepare(False, **settings, **shared), on_accelerator=True)
        for shared in ({}, {"processes": 2}, {"processes": 2, "sharded": True})
    )
    assert copies.peak == one.peak + one.gradients
    assert (parts.weights, parts.gradients) == (one.weights // 2, one.gradients // 2)
    assert parts.optimizer == pytest.approx(one.optimizer / 2, rel=0.01)
    assert parts.peak < one.peak and parts.flops == one.flops


@pytest.mark.parametrize("foreach", [False, True])
def test_adamws_step_holds_what_is_said(prepare, foreach):
    model, *_ = prepare(True, arm="text", batch_size=1)
    trained = [p for p in model.parameters() if p.requires_grad]
    tracker = MemoryTracker()
    tracker.hold(model.parameters())
    with tracker:
        optimizer = torch.optim.AdamW(trained, foreach=foreach)
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        tracker.peak = tracker.live
        optimizer.step()
    sizes = [p.nbytes for p in trained]
    states, gradients = 2 * sum(sizes) + 4 * len(sizes), sum(sizes)
    assert tracker.live == sum(p.nbytes for p in model.parameters()) + states + gradients
    room = gradients if foreach else 2 * max(sizes)
    assert tracker.peak - tracker.live == pytest.approx(room, rel=0.05)
