"""Geometry's gradient: where it goes, PCGrad against NumPy, and steps cut into passes."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from spatialsv.config import from_mapping
from spatialsv.model.mllm import load_mllm
from spatialsv.optim.log import read_log
from spatialsv.samples.collate import Collate
from spatialsv.samples.sampler import SPATIAL, TEXT, Draw
from spatialsv.train import TrainConfig, run
from spatialsv.train.arm import ArmConfig
from spatialsv.train.data import load_data
from spatialsv.train.objective import arm_counts, arm_losses
from spatialsv.train.routing import GradientRouter, make_router, pcgrad_weights
from spatialsv.train.stage import make_model

HEADS = {"projector_width": 8, "output_size": [8, 8], "taps": [1, 1, 2, 3]}  # of 4 layers
ALL = {"distill": False, "tasks": ("depth", "rays", "points"), "relation": 2}
PASSES = [[Draw(TEXT, 0, 0)], [Draw(TEXT, 0, 7), Draw(SPATIAL, 0, 1)]]


@pytest.fixture
def step(job, tiny_mllm):
    """The gradients of one step by name, of an arm with these settings, in some passes."""

    def step(passes=PASSES, text=True, geometry=True, checkpointing=False, **settings):
        arm = ArmConfig(pseudo=True, **ALL | settings)
        arm.check("arms.mine")
        config = from_mapping(TrainConfig, {"heads": HEADS, "label_stride": 4}, "train")
        mllm, family = load_mllm(tiny_mllm)
        scenes = job.scenes + job.unlabelled
        data = load_data("arm", arm, config, family, 0, scenes, job.labels, job.pseudo)
        torch.manual_seed(0)
        model, _ = make_model(arm, config, data, mllm, family)
        if checkpointing:
            model.mllm.activation_checkpointing_enable()
        model.train()
        router, collate = make_router(model, arm), Collate(processor=family)
        batches = [collate([data.pools[draw] for draw in draws]) for draws in passes]
        counted = [arm_counts(batch, arm, config) for batch in batches]
        counts = {name: sum(one[name] for one in counted) for name in counted[0]}
        weights = {"text": float(text)} | ({} if geometry else dict.fromkeys(SIGNALS, 0.0))
        totals = []
        for batch in batches:
            losses = arm_losses(model(batch), batch, arm, config, weights, counts, router)
            losses["total"].backward()
            totals.append(losses["total"].item())
        if router:
            router.combine()
        step.total, step.cosine = sum(totals), router and router.cosine
        found = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
        step.part = {name: model.component_of(name) for name in found}
        return found

    return step


SIGNALS = ("relation", "depth", "rays", "points")


def layer_of(name: str) -> int | None:
    """The number of the LLM's layer, from 1."""
    return int(name.split("layers.")[1].split(".")[0]) + 1 if "layers." in name else None


@pytest.mark.parametrize(
    ("settings", "reaches"),
    [
        ({"gradient": "projector"}, lambda part, layer: part == "projector"),
        (
            {"gradient_layers": (2, 2)},
            lambda part, layer: part == "projector" or (part == "llm" and layer == 2),
        ),
    ],
)
def test_geometry_changes_only_what_it_is_routed_to(step, settings, reaches):
    both, texts = step(), step(geometry=False)
    total = step.total
    found = step(**settings)
    assert step.total != total  # the parts without geometry
    kinds = set()
    for name, gradient in found.items():
        part, layer = step.part[name], layer_of(name)
        routed = part == "heads" or reaches(part, layer)
        kinds.add((part, routed, bool((both[name] != texts[name]).any())))
        assert_close(gradient, (both if routed else texts)[name], rtol=1e-4, atol=1e-6)
    assert {("llm", False, True), ("projector", True, True), ("heads", True, True)} <= kinds


@pytest.mark.parametrize("settings", [{"gradient": "projector"}, {"pcgrad": True}])
def test_the_total_is_the_same_however_its_gradient_is_routed(step, settings):
    step()
    total = step.total
    step(**settings)
    assert step.total == pytest.approx(total, rel=1e-6)


def project(gradients):
    """PCGrad's Algorithm 1 in NumPy: each gradient is projected by the others as they were."""
    changed = []
    for i, own in enumerate(gradients):
        g = own.copy()
        for j, other in enumerate(gradients):
            if j != i and g @ other < 0:
                g -= (g @ other) / (other @ other) * other
        changed.append(g)
    return changed


@pytest.mark.parametrize("seed", range(6))
def test_pcgrads_weights_are_those_of_its_algorithm(seed):
    draw = np.random.default_rng(seed).normal
    g, h = draw(size=7), draw(size=7)
    split = [[torch.tensor(part) for part in np.split(x, [3])] for x in (g, h)]
    own, theirs, cosine = (x.item() for x in pcgrad_weights(*split))
    np.testing.assert_allclose(own * g + theirs * h, sum(project([g, h])), rtol=1e-9)
    assert cosine == pytest.approx(g @ h / np.linalg.norm(g) / np.linalg.norm(h))
    assert (own > 1) == (theirs > 1) == (g @ h < 0)
    assert (own * g + theirs * h) @ g >= -1e-9 <= (own * g + theirs * h) @ h


def test_a_gradient_of_zero_conflicts_with_none():
    zero, some = [torch.zeros(3)], [torch.ones(3)]
    assert [x.item() for x in pcgrad_weights(zero, some)] == [1.0, 1.0, 0.0]
    assert [x.item() for x in pcgrad_weights(zero, zero)] == [1.0, 1.0, 0.0]


def flat(gradients, names):
    return np.concatenate([gradients[name].double().numpy().ravel() for name in names])


@pytest.mark.parametrize("sign", [1, -1])
def test_gradients_of_several_passes_are_projected_once(sign):
    """A conflict within a pass is none if the step has none, and the other way round."""
    draw = np.random.default_rng(1).normal
    texts, spatial, own = draw(size=(2, 4)), sign * draw(size=(2, 4)), draw(size=(2, 3))
    weight, head, unread = (torch.nn.Parameter(torch.zeros(n).double()) for n in (4, 3, 2))
    router = GradientRouter([weight, unread], [head], pcgrad=True)
    for g, h, k in zip(*map(torch.tensor, (texts, spatial, own)), strict=True):
        loss = router.take(h @ weight + k @ head)
        (loss + g @ weight + 3 * unread.sum()).backward()
    router.combine()
    g, h = texts.sum(0), spatial.sum(0)
    np.testing.assert_allclose(weight.grad, sum(project([g, h])))
    assert sign * (g @ h) < 0 and abs(g @ h) > 1
    np.testing.assert_allclose(head.grad, own.sum(0))
    assert unread.grad.tolist() == [6, 6]  # geometry does not reach it: the text's alone


@pytest.mark.parametrize("passes", [PASSES, [PASSES[0] + PASSES[1]]], ids=["two", "one"])
def test_pcgrad_is_over_all_that_geometry_reaches_in_the_mllm(step, passes):
    texts, spatial = step(geometry=False), step(text=False)
    mllm = [name for name, part in step.part.items() if part != "heads"]
    shared = [name for name in mllm if spatial[name].any()]
    assert 0 < len(shared) < len(mllm)
    g, h = flat(texts, shared), flat(spatial, shared)
    found = step(passes, pcgrad=True)
    expected = sum(project([g, h]))
    np.testing.assert_allclose(flat(found, shared), expected, atol=1e-4 * abs(expected).max())
    cosine = g @ h / np.linalg.norm(g) / np.linalg.norm(h)
    assert step.cosine.item() == pytest.approx(cosine, abs=1e-5) and cosine != 0
    for name in set(found) - set(shared):
        assert_close(found[name], texts[name] + spatial[name], rtol=1e-4, atol=1e-6)


def test_checkpointed_layers_give_the_same_gradients(step):
    plain = step(gradient="projector", pcgrad=True)
    checkpointed = step(gradient="projector", pcgrad=True, checkpointing=True)
    assert_close(checkpointed, plain)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gradient": "projector"}, r"mine\.gradient: has no effect without distill"),
        (
            {"tasks": ["depth"], "gradient": "heads", "gradient_layers": [1, 2]},
            r"mine\.gradient_layers: has no effect without gradient: llm",
        ),
        ({"tasks": ["depth"], "gradient": "heads", "pcgrad": True}, r"mine\.pcgrad: needs text"),
        ({"tasks": ["depth"], "text": False, "pcgrad": True}, r"mine\.pcgrad: needs text"),
        ({"relation": 1, "gradient": "heads"}, r"mine\.relation: has no head to train"),
        ({"tasks": ["depth"], "gradient": "llms"}, r"mine\.gradient: expected one of 'llm', "),
        ({"tasks": ["depth"], "detach": True}, r"mine\.detach: .* renamed to 'arms\.mine\.gradie"),
        ({"tasks": ["depth"], "gradient_layers": [2, 5]}, r"found \[2, 5\], .* layers 1 to 4"),
        ({"tasks": ["depth"], "gradient_layers": [3, 2]}, r"gradient_layers: found \[3, 2\]"),
        ({"relation": 2, "gradient_layers": [3, 4]}, r"geometry is read after layer 2"),
    ],
)
def test_settings_that_make_no_sense_are_told_before_the_first_step(
    job, tiny_mllm, tmp_path, settings, message
):
    with pytest.raises(ValueError, match=message):
        train(job, tiny_mllm, tmp_path, settings)
    assert not (tmp_path / "log.jsonl").exists()


def test_a_sharded_model_has_no_gradients_to_route(job, tiny_mllm, tmp_path):
    arm = {"tasks": ["depth"], "pcgrad": True}
    with pytest.raises(ValueError, match=r"arms\.mine: .* a sharded model never has"):
        train(job, tiny_mllm, tmp_path, arm, sharded=True, processes=2)


def train(job, tiny_mllm, tmp_path, arm, **settings):
    small = {"steps": 2, "batch_size": 2, "heads": HEADS, "label_stride": 4}
    config = from_mapping(TrainConfig, small | settings | {"arms": {"mine": arm}}, "train")
    out = tmp_path / "manifest.json"
    return run("mine", 0, job.scenes, job.labels, [], config, out, base=tiny_mllm)


def test_a_run_logs_the_cosine_of_its_gradients(job, tiny_mllm, tmp_path):
    train(job, tiny_mllm, tmp_path, {"tasks": ["depth"], "pcgrad": True})
    cosines = [line["gradient_cosine"] for line in read_log(tmp_path / "log.jsonl")]
    assert len(cosines) == 2 and all(-1 <= cosine <= 1 for cosine in cosines) and any(cosines)
