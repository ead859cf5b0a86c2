"""Exports: loaded by transformers alone, with the base's parameters and our answers."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from helpers.closing import closing_line
from helpers.manifests import edit_manifest, manifest_over
from helpers.tiny_families import SAVE
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
PROCESSORS = """
import json, sys
sys.modules["spatialsv"] = sys.modules["torchvision"] = None
import numpy as np
from transformers import AutoImageProcessor, AutoTokenizer
image, found = np.arange(60 * 80 * 3, dtype=np.uint8).reshape(60, 80, 3), {}
for folder in sys.argv[1:]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prepared = AutoImageProcessor.from_pretrained(folder)(images=[image], return_tensors="np")
    message = [{"role": "user", "content": [{"type": "text", "text": "Where?"}]}]
    text = tokenizer.apply_chat_template(message, tokenize=False)
    found[folder] = [text, tokenizer(text)["input_ids"], prepared["pixel_values"].ravel().tolist()]
print(json.dumps(found))
"""
CONFIG = {"batch_size": 2, "accumulation": 3, "processes": 2}
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
        config=CONFIG,
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


def test_kept_heads_lift_as_before(trained, tmp_path, make_batch, images, capsys):
    assert main(["export", str(trained), "--keep-heads", "--out", str(tmp_path / "out")]) == 0
    assert closing_line(capsys.readouterr().out, "export").endswith(f"; {tmp_path}/out")
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


def test_transformers_alone_prepares_text_and_images_of_every_family(tmp_path):
    """Without torchvision, which only its video processors need."""
    image, expected = np.arange(60 * 80 * 3, dtype=np.uint8).reshape(60, 80, 3), {}
    for name, save in SAVE.items():
        mllm, family = load_mllm(save(tmp_path / name))
        folder = tmp_path / f"trained-{name}"
        save_spatialsv(folder, SpatialSV(mllm, family))
        about = {"counts": {"steps": 1}, "config": CONFIG, "about": ABOUT}
        manifest = manifest_over(folder / "manifest.json", "train", ["mllm"], **about)
        export(manifest, tmp_path / f"out-{name}")
        message = [{"role": "user", "content": [{"type": "text", "text": "Where?"}]}]
        text = family.tokenizer.apply_chat_template(message, tokenize=False)
        pixels = family.image_processor(images=[image], return_tensors="np")["pixel_values"]
        ids = family.tokenizer(text)["input_ids"]
        expected[str(tmp_path / f"out-{name}")] = [text, ids, pixels.ravel().tolist()]
    command = [sys.executable, "-c", PROCESSORS, *expected]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected


def test_settings_of_the_full_processor_go_with_it(tiny_mllm, tmp_path):
    base = shutil.copytree(tiny_mllm, tmp_path / "base")
    files = {"processor_config.json": b'{"processor_class": "Qwen2_5_VLProcessor"}'}
    files["video_preprocessor_config.json"] = b'{"max_frames": 7}'
    for name, content in files.items():
        (base / name).write_bytes(content)
    save_spatialsv(tmp_path / "trained", SpatialSV(*load_mllm(base)))
    for name, content in files.items():
        assert (tmp_path / "trained/mllm" / name).read_bytes() == content


def test_the_card_names_base_and_adapters(trained, tmp_path):
    lora = {"rank": 8, "alpha": 16.0, "dropout": 0.0, "matrices": ["q_proj", "v_proj"]}
    local = {"base": "0a1b2c", "base_name": "models/mine"}
    edit_manifest(trained, about=ABOUT | local, config=CONFIG | {"lora": lora})
    export(trained, tmp_path / "local")
    card = (tmp_path / "local/README.md").read_text()
    assert "- base: `models/mine` (0a1b2c); its licence" in card and "base_model" not in card
    assert "- trained in the LLM: LoRA of rank 8, alpha 16.0, on q_proj, v_proj; merged" in card
    hub = {"base": "some/base", "base_name": "some/base"}
    edit_manifest(trained, about=ABOUT | hub, config=CONFIG | {"lora": None})
    export(trained, tmp_path / "hub")
    card = (tmp_path / "hub/README.md").read_text()
    assert "base_model: some/base\n---" in card and "- base: `some/base`; its licence" in card
    assert "- trained in the LLM: all weights" in card
