"""A step's loss: of all its samples however they are cut, with a gradient for every weight."""

from dataclasses import replace

import pytest
import torch

from spatialsv.config import from_mapping
from spatialsv.model.mllm import load_mllm
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.samples.batch import Batch
from spatialsv.samples.collate import Collate
from spatialsv.samples.sampler import SPATIAL, TEXT, Draw
from spatialsv.train.arm import ArmConfig
from spatialsv.train.config import TrainConfig
from spatialsv.train.data import load_data
from spatialsv.train.objective import arm_counts, arm_losses
from spatialsv.train.stage import make_model

HEADS = {"projector_width": 8, "output_size": [8, 8]}
ALL = {"distill": True, "tasks": ("depth", "rays", "points")}
ASKED, SHOWN = [Draw(TEXT, 0, index) for index in (0, 7)], [Draw(SPATIAL, 0, 1)]


@pytest.fixture
def taught(job, tiny_mllm):
    """A model with the heads of an arm, its batches, and its losses."""

    def taught(reduction="mean", losses=None, **settings):
        arm = ArmConfig(**settings)
        options = {"heads": HEADS, "label_stride": 4, "text_reduction": reduction}
        options |= {"losses": losses or {}}
        config = from_mapping(TrainConfig, options, "train")
        mllm, family = load_mllm(tiny_mllm)
        scenes = job.scenes + (job.unlabelled if arm.pseudo else [])
        pseudo = job.pseudo if arm.pseudo else []
        data = load_data("arm", arm, config, family, 0, scenes, job.labels, pseudo)
        model, _ = make_model(arm, config, data, mllm, family)
        collate = Collate(processor=family)

        def batch(draws):
            return collate([data.pools[draw] for draw in draws])

        def losses(batch, counts=None):
            return arm_losses(model(batch), batch, arm, config, None, counts)

        losses.counts = lambda batch: arm_counts(batch, arm, config)
        return model, batch, losses

    return taught


def gradients(model: SpatialSV) -> dict[str, torch.Tensor | None]:
    found = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    model.zero_grad()
    return found


@pytest.mark.parametrize(
    ("reduction", "arm", "terms"),
    [
        ("mean", {}, {"temporal": True}),
        ("sum", {}, {"temporal": True}),
        ("mean", {"relation": 2}, {}),
    ],
)
def test_a_steps_loss_does_not_depend_on_how_it_is_cut_into_passes(taught, reduction, arm, terms):
    model, batch, losses = taught(reduction, pseudo=True, losses=terms, **ALL | arm)
    full = batch(ASKED + SHOWN)
    holes = (~full.geometry.valid).float().mean(dim=(1, 2, 3))
    assert holes.unique().numel() > 1  # or differences would share as pixels do
    whole = losses(full)
    whole["total"].backward()
    expected = gradients(model)
    cut = [batch(ASKED), batch(SHOWN)]
    own = [losses.counts(part) for part in cut]
    together = {name: own[0][name] + own[1][name] for name in own[0]}
    assert {n: count.tolist() for n, count in losses.counts(full).items()} == {
        n: count.tolist() for n, count in together.items()
    }
    found = [losses(part, together) for part in cut]
    sum(terms["total"] for terms in found).backward()
    for name, value in whole.items():
        value_of_passes = sum(terms.get(name, 0) for terms in found)
        torch.testing.assert_close(value_of_passes, value, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradients(model), expected, rtol=1e-4, atol=1e-5)


def test_a_pass_that_is_the_full_step_has_the_counts_of_its_masks(taught):
    _, batch, losses = taught(**ALL)
    own = losses.counts(batch(ASKED))
    assert own["text"] > 2 and own["distill"] == 4 * 2 * 2 and own["depth/l2"] == 4 * 8 * 8
    plain, divided = losses(batch(ASKED)), losses(batch(ASKED), own)
    assert {n: v.item() for n, v in plain.items()} == {n: v.item() for n, v in divided.items()}


def test_counts_of_nothing_give_losses_of_zero(taught):
    _, batch, losses = taught(**ALL)
    empty = invalid(batch(ASKED))
    empty = replace(empty, labels=torch.full_like(empty.labels, -100))
    own = losses.counts(empty)
    assert not own["text"].any() and not own["depth/grad"].any()
    assert all(v == 0 for n, v in losses(empty, own).items() if n not in ("distill", "total"))


def test_a_pass_without_labels_counts_as_many_means(taught):
    _, batch, losses = taught(**ALL)
    seen = batch(ASKED)
    own, none = (losses.counts(one) for one in (seen, unlabelled(seen)))
    sizes = {name: len(counts) for name, counts in own.items()}
    assert sizes == {name: len(counts) for name, counts in none.items()}
    assert sum(sizes.values()) == 2 + 2 + 8 + 2 + 2 + 3  # l2 and conf, grad, normal
    assert not any(counts.any() for name, counts in none.items() if name != "text")


def unlabelled(batch: Batch) -> Batch:
    return replace(batch, geometry=None)


def invalid(batch: Batch) -> Batch:
    nowhere = torch.zeros_like(batch.geometry.valid)
    return replace(batch, geometry=replace(batch.geometry, valid=nowhere))


@pytest.mark.parametrize(
    ("arm", "draws", "changed"),
    [
        (ALL | {"pseudo": True}, ASKED, unlabelled),
        (ALL | {"pseudo": True}, SHOWN, replace),
        (ALL | {"pseudo": True}, SHOWN, invalid),
        (ALL | {"pseudo": True}, SHOWN, unlabelled),
        ({"text": False, "tasks": ("depth",)}, SHOWN, replace),
        ({"distill": True}, ASKED, unlabelled),
        ({"relation": -1, "pseudo": True}, ASKED, unlabelled),
    ],
)
def test_every_weight_has_a_gradient_whatever_a_batch_lacks(taught, arm, draws, changed):
    model, batch, losses = taught(**arm)
    terms = losses(changed(batch(draws)))
    terms["total"].backward()
    assert [name for name, gradient in gradients(model).items() if gradient is None] == []
    torch.testing.assert_close(terms.pop("total"), torch.as_tensor(sum(terms.values(), 0.0)))
