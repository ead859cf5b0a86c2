"""What a run leaves, loaded again, computes what the trained model did: for each way to train."""

import pytest
import torch

from helpers.tiny_families import SAVE
from spatialsv.config import from_mapping
from spatialsv.model.export import export
from spatialsv.model.spatialsv import load_spatialsv
from spatialsv.optim.log import StepLog
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import SceneDataset
from spatialsv.train import TrainConfig, run, stage

SMALL = {
    "steps": 2,
    "batch_size": 2,
    "lr_llm": 1e-2,
    "lr_vl_projector": 1e-2,
    "lr_heads": 1e-2,
    "heads": {"projector_width": 8, "output_size": [8, 8]},
    "label_stride": 4,
}
LORA = {"lora": {"rank": 4, "dropout": 0.1}}


def outputs(model, scenes, questions):
    """Logits of the answers and the heads' depth, on a batch of two questions."""
    samples = SceneDataset(scenes, questions, model.family)
    batch = Collate(processor=model.family)([samples[0], samples[1]])
    model.mllm.set_attn_implementation("sdpa")
    with torch.no_grad():
        output = model.eval()(batch)
    return output.logits, output.lifted and output.lifted.depth


class KilledError(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize(
    "settings",
    [
        {},
        LORA,
        LORA | {"save_steps": 1, "killed": True},
        {"packed": True, "questions_per_sample": 3},
        {"cache_vision": True},
        {"precision": "bf16", "gradient_checkpointing": True},
        {"heads": SMALL["heads"] | {"projectors": "shared"}},
        *({"family": name} for name in SAVE if name != "qwen2_5_vl"),
    ],
    ids=str,
)
def test_a_trained_model_computes_the_same_once_loaded(
    job, tiny_mllm, tiny_scenes, tiny_questions, tmp_path, monkeypatch, settings
):
    settings = SMALL | settings
    killed, name = settings.pop("killed", False), settings.pop("family", None)
    base = SAVE[name](tmp_path / "base") if name else tiny_mllm
    config = from_mapping(TrainConfig, settings, "train")
    out, seen = tmp_path / "run/manifest.json", []
    train_model = stage._train

    def watched(model, *given):
        train_model(model, *given)
        seen.append(outputs(model, tiny_scenes, tiny_questions))  # adapters are not merged yet

    def train():
        run("spatialsv", 0, job.scenes, job.labels, [], config, out, base=base)

    def dying(self):
        raise KilledError

    monkeypatch.setattr(stage, "_train", watched)
    if killed:
        with monkeypatch.context() as patch, pytest.raises(KilledError):
            patch.setattr(StepLog, "close", dying)
            train()
    train()
    (trained,) = seen
    export(out, tmp_path / "exported", keep_heads=True)
    for folder in (out.parent, tmp_path / "exported"):
        loaded = outputs(load_spatialsv(folder), tiny_scenes, tiny_questions)
        torch.testing.assert_close(loaded, trained, rtol=0, atol=1e-5 if config.lora else 0)
    before, _ = outputs(load_spatialsv(base), tiny_scenes, tiny_questions)
    assert not torch.equal(before, trained[0])
