"""Which parameters are trained, at which rate, and with which decay."""

import pytest
import torch

from spatialsv.config import from_mapping
from spatialsv.model.heads import SpatialHeads, SpatialHeadsConfig
from spatialsv.model.mllm import load_mllm
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.train import TrainConfig
from spatialsv.train.parameters import (
    clipped_parts,
    freeze,
    make_optimizers,
    parameter_groups,
)

RATES = {"lr_llm": 1e-3, "lr_vl_projector": 2e-3, "lr_heads": 3e-3}


@pytest.fixture
def model(tiny_mllm):
    mllm, family = load_mllm(tiny_mllm)
    settings = SpatialHeadsConfig(
        tasks=("depth",), taps=(0, 1, 2, 3), projector_width=8, output_size=(8, 8)
    )
    heads = SpatialHeads(settings, mllm.config.get_text_config().hidden_size)
    return SpatialSV(mllm, family, heads)


def test_matrices_decay_and_vectors_do_not(model):
    config = from_mapping(TrainConfig, RATES | {"weight_decay": 0.3}, "train")
    freeze(model, config)
    groups = parameter_groups(model, config)
    assert {group["weight_decay"] for group in groups} == {0.0, 0.3}
    for group in groups:
        decays = {parameter.ndim > 1 for parameter in group["params"]}
        assert decays == {group["weight_decay"] == 0.3}
    trained = [p for p in model.parameters() if p.requires_grad]
    assert sorted(map(id, trained)) == sorted(id(p) for g in groups for p in g["params"])


def test_a_step_without_gradient_shrinks_matrices_and_leaves_vectors(model):
    config = from_mapping(TrainConfig, RATES | {"weight_decay": 0.3}, "train")
    freeze(model, config)
    optimiser = torch.optim.AdamW(parameter_groups(model, config))
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in trained.items()}
    for parameter in trained.values():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    rates = {"projector": 2e-3, "llm": 1e-3, "heads": 3e-3}
    for name, parameter in trained.items():
        factor = 1 - 0.3 * rates[model.component_of(name)] if parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor)


def test_each_component_has_its_rate_and_the_encoder_none(model):
    config = from_mapping(TrainConfig, RATES, "train")
    freeze(model, config)
    groups = parameter_groups(model, config)
    rates = {group["name"].removesuffix(" (no decay)"): group["lr"] for group in groups}
    assert rates == {"projector": 2e-3, "llm": 1e-3, "heads": 3e-3}


def test_the_mllm_is_clipped_separately_from_the_heads(model):
    parts = clipped_parts(model)
    assert len(parts["MLLM"]) == len(list(model.mllm.parameters()))
    assert len(parts["heads"]) == len(list(model.heads.parameters()))


def test_muon_takes_the_matrices_of_the_llm_and_adamw_the_rest(model):
    config = from_mapping(TrainConfig, RATES | {"optimizer": "muon"}, "train")
    freeze(model, config)
    adamw, muon = make_optimizers(model, config)
    (group,) = muon.param_groups
    assert group["lr"] == 1e-3 and group["adjust_lr_fn"] == "match_rms_adamw"
    names = {id(p): name for name, p in model.named_parameters()}
    taken = {names[id(p)] for p in group["params"]}
    assert taken and all(".layers." in name and name.endswith("_proj.weight") for name in taken)
    trained = [p for p in model.parameters() if p.requires_grad]
    given = [p for one in (adamw, muon) for g in one.param_groups for p in g["params"]]
    assert sorted(map(id, trained)) == sorted(map(id, given))


def test_muon_is_refused_where_it_cannot_work(model, monkeypatch):
    with pytest.raises(ValueError, match=r"train.optimizer: muon needs full matrices"):
        TrainConfig(optimizer="muon", sharded=True, processes=2)
    config = from_mapping(TrainConfig, RATES | {"optimizer": "muon"}, "train")
    freeze(model, config)
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(RuntimeError, match=r"torch 2.* has no Muon. Install torch 2.9"):
        make_optimizers(model, config)
