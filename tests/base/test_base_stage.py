"""The stage on next to nothing: both parts, from nothing to what the other stages load."""

from __future__ import annotations

import json

import pytest
import torch

from helpers.closing import closing_line
from spatialsv.base import corpus, mllm, teacher
from spatialsv.base.stage import BaseConfig, run
from spatialsv.config import from_mapping
from spatialsv.io.manifest import read_manifest
from spatialsv.io.summary import summarise
from spatialsv.model.mllm import load_mllm
from spatialsv.teachers.load import load_teacher
from spatialsv.teachers.rooms import RoomsTeacher, load_network

ROOMS = {"views": 2, "image_size": 16, "samples": 1}
LOOP = {"steps": 2, "lr": 1e-3, "batch_size": 2, "log_steps": 1, "save_steps": 1}
SMALL = {
    "mllm": {
        "rooms": ROOMS,
        "shards": 1,
        "architecture": {
            **{"image_size": 16, "patch_size": 4, "vision_width": 32, "vision_layers": 1},
            **{"vision_heads": 2, "width": 32, "layers": 2, "heads": 2, "mlp": 32},
        },
        "tasks": {"questions": 2, "letters": 1, "letters_only": 2, "exclude": ["rotation"]},
        **dict.fromkeys(("vision", "letters", "language"), LOOP),
    },
    "teacher": {
        "rooms": ROOMS,
        "shards": 1,
        "network": {
            **{"image_size": 16, "patch_size": 4, "width": 32, "layers": 4, "heads": 2},
            **{"global_layers": [3], "taps": [0, 1, 2, 3], "head_width": 32},
        },
        "training": LOOP,
    },
    "check_rooms": 1,
}


@pytest.fixture
def few_rooms(monkeypatch):
    for module in (corpus, mllm):
        monkeypatch.setattr(module, "SHARD", 4)


@pytest.mark.parametrize("part", ["mllm", "teacher"])
def test_from_nothing_to_a_checkpoint_that_loads(part, few_rooms, tmp_path):
    out = tmp_path / part / "manifest.json"
    config = from_mapping(BaseConfig, SMALL, "base")
    ending = closing_line(f"base: {summarise(run(part, config, out))}", "base")
    assert "parameters; checkpoint, manifest.json in " in ending
    checkpoint = read_manifest(out).resolve("checkpoint")
    recipe = json.loads((checkpoint / "RECIPE.json").read_text())
    assert recipe["config"]["rooms"]["image_size"] == 16
    first = out.read_text()
    run(part, config, out)  # its phases are finished: nothing is trained again
    assert json.loads(first)["config"] == json.loads(out.read_text())["config"]
    if part == "mllm":
        model, _ = load_mllm(checkpoint)
        assert model.config.text_config.hidden_size == 32
    else:
        assert isinstance(load_teacher(str(checkpoint), 1), RoomsTeacher)


@pytest.mark.parametrize(
    ("part", "module", "save"),
    [("mllm", mllm, "save_mllm"), ("teacher", teacher, "save_network")],
)
def test_what_is_loaded_again_is_what_was_trained(
    part, module, save, few_rooms, tmp_path, monkeypatch
):
    write, trained = getattr(module, save), {}

    def watched(model, *given):
        trained.update({name: value.clone() for name, value in model.state_dict().items()})
        write(model, *given)

    monkeypatch.setattr(module, save, watched)
    run(part, from_mapping(BaseConfig, SMALL, "base"), tmp_path / "manifest.json")
    checkpoint = tmp_path / "checkpoint"
    loaded = load_mllm(checkpoint)[0] if part == "mllm" else load_network(checkpoint)
    dtype = torch.bfloat16 if part == "mllm" else torch.float16  # of the files
    found = loaded.state_dict()
    assert found.keys() == trained.keys()
    for name, value in trained.items():
        assert torch.equal(found[name], value.to(dtype).float()), name


def test_another_recipe_is_refused_before_any_phase(few_rooms, tmp_path, monkeypatch):
    run("mllm", from_mapping(BaseConfig, SMALL, "base"), tmp_path / "manifest.json")
    monkeypatch.setattr(mllm, "render_corpus", lambda *_: 1 / 0)
    other = SMALL["mllm"] | {"language": LOOP | {"lr": 2e-3}}
    expected = r"language: found checkpoint-2 .*language\.lr: 0\.001 then"
    with pytest.raises(ValueError, match=expected):
        run("mllm", from_mapping(BaseConfig, {"mllm": other}, "base"), tmp_path / "manifest.json")
