"""A phase: a run that was stopped ends as if it had not been."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from spatialsv.base.phase import PhaseConfig, batch_rows, make_optimisers, run_phase
from spatialsv.optim.schedule import WarmupDecay

CONFIG = PhaseConfig(
    steps=12, lr=1e-2, batch_size=4, warmup=3, save_steps=4, log_steps=2, bf16=False
)


needs_muon = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch 2.9 has Muon")


def _train(
    folder, config: PhaseConfig, steps_before_the_kill: int | None = None
) -> torch.nn.Linear:
    torch.manual_seed(0)
    module = torch.nn.Linear(3, 1)
    data = torch.randn(20, 3)

    def step_loss(step: int, rng: np.random.Generator):
        if step == steps_before_the_kill:
            raise KeyboardInterrupt
        rows = batch_rows(step, len(data), config.batch_size, config.seed)
        noise = torch.from_numpy(rng.normal(size=(len(rows), 1)).astype(np.float32))
        return {"total": ((module(data[rows]) - noise) ** 2).mean()}

    if steps_before_the_kill is None:
        run_phase(module, step_loss, config, folder, asdict(config))
    else:
        with pytest.raises(KeyboardInterrupt):
            run_phase(module, step_loss, config, folder, asdict(config))
    return module


@pytest.mark.parametrize("lr_muon", [None, pytest.param(1e-2, marks=needs_muon)])
@pytest.mark.parametrize("kill", [1, 6, 11])
def test_a_killed_run_ends_bit_for_bit_like_an_undisturbed_one(tmp_path, kill, lr_muon) -> None:
    config = replace(CONFIG, lr_muon=lr_muon)
    whole = _train(tmp_path / "whole", config)
    _train(tmp_path / "killed", config, kill)
    again = _train(tmp_path / "killed", config)
    assert torch.equal(again.weight, whole.weight) and torch.equal(again.bias, whole.bias)
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "killed")]
    assert logs[0] == logs[1] and len(logs[0].splitlines()) == 12
    assert json.loads(logs[0].splitlines()[-1])["step"] == 12


def test_checkpoints_of_other_settings_are_refused(tmp_path) -> None:
    _train(tmp_path / "one", CONFIG)
    with pytest.raises(ValueError, match=r"one: found checkpoint-.*lr: 0\.\d+ then, 0\.02 now"):
        _train(tmp_path / "one", replace(CONFIG, lr=2e-2))
    assert list((tmp_path / "one").glob("checkpoint-*"))


@needs_muon
def test_muon_takes_the_matrices_that_are_no_embedding() -> None:
    table, tied = torch.nn.Embedding(5, 4), torch.nn.Linear(4, 5)
    tied.weight = table.weight
    module = torch.nn.Sequential(table, torch.nn.Conv1d(4, 4, 1), torch.nn.Linear(4, 4), tied)
    adamw, muon = make_optimisers(module, replace(CONFIG, lr_muon=1e-2))
    (group,) = muon.param_groups
    assert [id(parameter) for parameter in group["params"]] == [id(module[2].weight)]
    taken = {id(p) for part in (adamw, muon) for g in part.param_groups for p in g["params"]}
    assert taken == {id(parameter) for parameter in module.parameters()}


def test_a_torch_without_muon_is_told(monkeypatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    with pytest.raises(RuntimeError, match="no Muon: install"):
        make_optimisers(torch.nn.Linear(2, 2), replace(CONFIG, lr_muon=1e-2))


def test_every_epoch_sees_every_row_once() -> None:
    epochs = [np.concatenate([batch_rows(5 * e + s, 20, 4, 0) for s in range(5)]) for e in (0, 1)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(20))
    assert epochs[0].tolist() != epochs[1].tolist()


def test_the_rate_warms_up_and_falls() -> None:
    config = replace(CONFIG, steps=100, warmup=10)
    schedule = WarmupDecay(steps=100, warmup=10, floor=config.floor, first=1)
    rates = [schedule(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == 1
    assert rates[100] == pytest.approx(config.floor)
    assert all(a >= b for a, b in pairwise(rates[10:]))
