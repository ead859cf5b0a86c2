import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from spatialsv.model.mllm import load_mllm


def test_a_missing_checkpoint_says_what_to_give(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load_mllm(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load_mllm("data/train/absent")
    with pytest.raises(FileNotFoundError, match="not a checkpoint"):
        load_mllm(tmp_path)


def test_a_family_without_an_adapter_is_told_with_what_one_must_say(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "paligemma"}))
    with pytest.raises(ValueError, match="no adapter for MLLMs of model_type 'paligemma'") as told:
        load_mllm(tmp_path)
    assert "families.family.Family" in str(told.value) and "family=" in str(told.value)


def test_an_adapter_from_outside_is_taken(tiny_mllm, tmp_path, loaded):
    """What a researcher writes for an MLLM of their own, in a file of their own."""

    class Mine(type(loaded[1])):
        lr_llm = 3e-6

    shutil.copytree(tiny_mllm, tmp_path / "mine")
    _, family = load_mllm(tmp_path / "mine", family=Mine)
    assert family.lr_llm == 3e-6 and family.component_of("lm_head.weight") == "llm"


def test_parameters_that_a_checkpoint_lacks_are_told(tiny_mllm, tmp_path):
    """transformers would make up random ones, with a warning."""
    shutil.copytree(tiny_mllm, tmp_path / "part")
    path = tmp_path / "part/model.safetensors"
    weights = load_file(path)
    del weights[next(name for name in weights if "merger.mlp.0.weight" in name)]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"1 parameters of Qwen2_5_VL.*merger\.mlp\.0\.weight"):
        load_mllm(tmp_path / "part")
