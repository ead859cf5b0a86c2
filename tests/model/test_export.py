"""Exports: loaded by transformers alone, with the base's parameters and our answers."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from helpers.manifests import edit_manifest, manifest_over
from spatialsv.cli import main
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.model.export import HEADS, export
from spatialsv.model.mllm import load_mllm
from spatialsv.model.spatialsv import SpatialSV, load_spatialsv, save_spatialsv

ALONE = """
import json, sys
sys.modules["spatialsv"] = None  # not installed here
import torch
from transformers import AutoModelForImageTextToText
folder, asked = sys.argv[1:]
model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
inputs = torch.load(asked, weights_only=True)
print(json.dumps(model.generate(**inputs, max_new_tokens=8, do_sample=False).tolist()))
"""
ABOUT = {
    "arm": "spatialsv",
    "seed": 0,
    "settings": {"text": True, "distill": True, "tasks": ["depth"]},
    "base": "some/base",
    "data": {"scenes": "0a1b"},
    "rates": {"llm": 1e-5},
    "libraries": {"torch": "2.13.0"},
}


@pytest.fixture
def trained(loaded, heads, tmp_path):
    """A training job's folder, its weights moved away from the base's."""
    torch.manual_seed(3)
    folder = tmp_path / "trained"
    save_spatialsv(folder, SpatialSV(*loaded, heads))
    return manifest_over(
        folder / "manifest.json",
        "train",
        ["mllm", "heads"],
        counts={"steps": 2},
        config={"batch_size": 2, "accumulation": 3, "processes": 2},
        about=ABOUT,
    )


def test_transformers_alone_gives_the_same_answers_token_for_token(
    trained, tmp_path, make_batch, images
):
    export(trained, tmp_path / "out")
    inputs = make_batch(images, ["Where?", "Which is left?"], side="left").model_inputs()
    ours = load_spatialsv(trained.parent).mllm.generate(**inputs, max_new_tokens=8, do_sample=False)
    torch.save(inputs, tmp_path / "inputs.pt")
    command = [sys.executable, "-c", ALONE, str(tmp_path / "out"), str(tmp_path / "inputs.pt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ours.tolist()


def test_its_parameters_are_the_bases(trained, tmp_path, tiny_mllm):
    export(trained, tmp_path / "out")
    base, out = (load_file(f / "model.safetensors") for f in (tiny_mllm, tmp_path / "out"))
    assert {name: value.shape for name, value in base.items()} == {
        name: value.shape for name, value in out.items()
    }
    assert not (tmp_path / "out" / HEADS).exists()
    assert "supervision: text, distill, depth" in (tmp_path / "out/README.md").read_text()
    assert "batches of 12 samples" in (tmp_path / "out/README.md").read_text()


def test_kept_heads_lift_as_before(trained, tmp_path, make_batch, images):
    assert main(["export", str(trained), "--keep-heads", "--out", str(tmp_path / "out")]) == 0
    batch, folders = make_batch(images, ["Where?", "What?"]), (tmp_path / "out", trained.parent)
    with torch.no_grad():
        found, expected = (load_spatialsv(folder)(batch).lifted.depth for folder in folders)
    assert torch.equal(found, expected)
    assert "heads" in (tmp_path / "out/README.md").read_text()


def test_who_taught_it_and_on_what_terms_goes_with_it(trained, tmp_path):
    free = {"teacher": "rooms-teacher", "revision": "", "licence": "Apache-2.0"}
    bound = {"teacher": "some/da3", "revision": "weights 0a", "licence": "CC-BY-NC-4.0"}
    about = read_manifest(trained).about | {"teachers": [free]}
    edit_manifest(trained, about=about)
    export(trained, tmp_path / "free", commercial=True)
    about |= {"teachers": [free, bound], "images": {"sources": ["rooms"], "size": None}}
    edit_manifest(trained, about=about)
    refused = ["export", str(trained), "--commercial", "--out", str(tmp_path / "bound")]
    assert main(refused) == 2 and not (tmp_path / "bound").exists()
    with pytest.warns(UserWarning, match="trained on some/da3: licence CC-BY-NC-4.0"):
        export(trained, tmp_path / "bound")
    told = json.loads((tmp_path / "bound/spatialsv.json").read_text())
    assert told == {"teachers": [free, bound], "images": {"sources": ["rooms"], "size": None}}
    card = (tmp_path / "bound/README.md").read_text()
    assert "- labels by some/da3 (weights 0a), licence CC-BY-NC-4.0" in card
    load_mllm(tmp_path / "bound")


def test_what_cannot_be_exported_is_told(trained, tmp_path):
    with pytest.raises(ValueError, match="Give a folder that does not exist"):
        export(trained, tmp_path)
    scenes = tmp_path / "scenes.json"
    write_manifest(scenes, Manifest(stage="scenes", payload={}))
    with pytest.raises(ValueError, match="is a manifest of the stage scenes"):
        export(scenes, tmp_path / "out")
    write_manifest(trained, Manifest(stage="train", payload={"mllm": "0"}, about=ABOUT))
    with pytest.raises(ValueError, match="without 3D heads"):
        export(trained, tmp_path / "out", keep_heads=True)
