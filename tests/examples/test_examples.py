"""The examples run, and the stock Trainer of transformers learns what they say."""

import importlib.util
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import Trainer

from spatialsv.model.spatialsv import load_spatialsv
from spatialsv.scenes.question import write_questions
from spatialsv.scenes.store import write_store

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example():
    path = EXAMPLES / "train_with_transformers.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_stock_trainer_trains_mllm_and_heads(
    example, tiny_mllm, tiny_scenes, tiny_labels, tiny_questions, tmp_path, monkeypatch
):
    trained = []
    train = Trainer.train
    monkeypatch.setattr(Trainer, "train", lambda self: trained.append(self) or train(self))
    write_store(tmp_path / "scenes.zarr", tiny_scenes)
    write_store(tmp_path / "labels.zarr", tiny_labels)
    write_questions(tmp_path / "questions.jsonl", tiny_questions)
    names = ("scenes.zarr", "labels.zarr", "questions.jsonl", "out")
    example.main(str(tiny_mllm), *(str(tmp_path / name) for name in names))
    (trainer,) = trained
    assert type(trainer) is Trainer and trainer.state.global_step == 10
    model = load_spatialsv(tmp_path / "out")
    assert model.heads.config.tasks == ("depth", "rays", "points")
    before = load_file(tiny_mllm / "model.safetensors")
    after = load_file(tmp_path / "out/mllm/model.safetensors")
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert trainer.state.log_history[-1]["train_loss"] > 0
