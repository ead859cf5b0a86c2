import json
import shutil

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from spatialsv.cli import main
from spatialsv.model.families.qwen2_5_vl import Qwen25VL
from spatialsv.model.mllm import has_bf16, load_mllm
from spatialsv.model.spatialsv import SpatialSV, save_spatialsv


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


@pytest.fixture
def adapter(tiny_mllm, tmp_path):
    """A folder with a LoRA adapter that changes the answers, as peft saves it."""
    mllm, _ = load_mllm(tiny_mllm)
    settings = LoraConfig(target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    get_peft_model(mllm, settings).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


@pytest.fixture
def base_with_adapter(tiny_mllm, adapter, tmp_path):
    folder = shutil.copytree(tiny_mllm, tmp_path / "both")
    return shutil.copytree(adapter, folder, dirs_exist_ok=True)


def test_a_folder_with_an_adapter_is_refused(adapter, base_with_adapter):
    """transformers loads both, and then saves only the adapter."""
    for folder in (adapter, base_with_adapter):
        with pytest.raises(ValueError, match=r"found a LoRA adapter .*Merge it into its base"):
            load_mllm(folder)


def test_a_run_on_a_base_with_an_adapter_stops_before_it_trains(
    base_with_adapter, tmp_path, capsys
):
    out = tmp_path / "run/manifest.json"
    given = ["--arm", "text", "--seed", "0", "--base", str(base_with_adapter), "--out", str(out)]
    assert main(["train", *given]) == 2
    assert "found a LoRA adapter" in capsys.readouterr().err and not out.parent.exists()


def test_an_adapter_merged_as_the_docs_show_answers_as_before(
    tiny_mllm, adapter, base_with_adapter, tmp_path, make_batch, images
):
    mllm, family = load_mllm(tiny_mllm)
    merged = PeftModel.from_pretrained(mllm, adapter).merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    family.save_processor(tmp_path / "merged")
    inputs = make_batch(images, ["Where?", "What?"]).model_inputs()
    both = AutoModelForImageTextToText.from_pretrained(base_with_adapter).eval()
    with torch.no_grad():
        plain, expected, found = (
            model(**inputs).logits
            for model in (load_mllm(tiny_mllm)[0], both, load_mllm(tmp_path / "merged")[0])
        )
    torch.testing.assert_close(found, expected)
    assert (found - plain).abs().max() > 0.01


def test_a_model_with_an_adapter_is_not_saved_in_part(tiny_mllm, adapter, tmp_path):
    mllm, family = load_mllm(tiny_mllm)
    mllm.load_adapter(adapter)
    with pytest.raises(ValueError, match=r"Only \d+ of the MLLM's \d+ values would be saved"):
        save_spatialsv(tmp_path / "saved", SpatialSV(mllm, family))
    assert not (tmp_path / "saved/mllm").exists()


def test_tensors_that_the_model_does_not_have_are_refused(tiny_mllm, tmp_path):
    """transformers would ignore them: here, a geometry encoder beside a Qwen2.5-VL."""
    folder = shutil.copytree(tiny_mllm, tmp_path / "more")
    path = folder / "model.safetensors"
    extra = {f"geometry_encoder.layers.{i}.weight": torch.ones(2, 2) for i in range(3)}
    save_file(load_file(path) | extra, path, metadata={"format": "pt"})
    expected = r"more: 3 tensors .* not part of Qwen2_5_VL.*as geometry_encoder\.layers\.0\.weight"
    with pytest.raises(ValueError, match=expected):
        load_mllm(folder)

    class WithoutGeometry(Qwen25VL):
        unused = ("geometry_encoder.",)

    load_mllm(folder, family=WithoutGeometry)


@pytest.mark.parametrize(
    ("capability", "is_fast"), [("AVX512", True), ("AVX2", False), ("DEFAULT", False)]
)
def test_bf16_is_used_on_cpus_with_fast_instructions(monkeypatch, capability, is_fast):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert has_bf16("cpu") == is_fast
    assert has_bf16("cuda")
