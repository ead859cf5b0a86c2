"""MLLMs that transformers lacks, and one whose adapter is not ours, through stages as commands."""

import json
import re
import sys

import pytest

from helpers.tiny import save_tiny_mllm
from helpers.tiny_families import save_llava_onevision_1_5, save_llava_qwen
from spatialsv.cli import main
from spatialsv.io.manifest import read_manifest
from spatialsv.model.mllm import load_mllm
from spatialsv.model.spatialsv import load_spatialsv

TRAIN = {
    "steps": 1,
    "batch_size": 2,
    "heads": {"projector_width": 8, "output_size": [8, 8]},
    "label_stride": 4,
}
PROBE = {"fit": {"steps": 2}, "feature_batch": 2}
ADAPTER = """\
from transformers import AutoConfig, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from spatialsv.model.families.qwen2_5_vl import Qwen25VL


class MyConfig(Qwen2_5_VLConfig):
    model_type = "mine"


class MyModel(Qwen2_5_VLForConditionalGeneration):
    config_class = MyConfig


class Mine(Qwen25VL):
    model_class = MyModel
    lr_llm = 3e-6


AutoConfig.register("mine", MyConfig, exist_ok=True)
"""


def save_mine(folder):
    """A checkpoint of a model_type that nobody knows but the adapter."""
    mllm, _ = load_mllm(save_tiny_mllm(folder))
    mllm.save_pretrained(folder, save_original_format=False)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "mine"}))
    return folder


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """An adapter in a package of its own, and its name; a run that imports it leaves a file."""
    package = tmp_path / f"from_outside_{tmp_path.name}"
    package.mkdir()
    (package / "__init__.py").touch()
    trace = f"from pathlib import Path\n\nPath({str(package / 'ran')!r}).touch()\n"
    (package / "adapter.py").write_text(ADAPTER + trace)
    monkeypatch.syspath_prepend(tmp_path)
    yield f"{package.name}.adapter:Mine"
    for name in [name for name in sys.modules if name.startswith(package.name)]:
        del sys.modules[name]


def command(stage, *arguments, config=None) -> int:
    settings = [] if config is None else ["--config", json.dumps(config)]
    return main([stage, *map(str, arguments), *settings])


def through_the_stages(job, base, out, family=()) -> None:
    train, scenes = out / "train/manifest.json", job.scenes
    given = ["--base", base, *family, "--scenes", *scenes, "--labels", *job.labels, "--out", train]
    assert command("train", "--arm", "spatialsv", "--seed", 0, *given, config=TRAIN) == 0
    model = ["--model", train, *family]
    for stage, more in (
        ("lift", ["--scenes", *scenes]),
        ("probe", ["--scenes", *scenes, "--labels", *job.labels, "--test-scenes", *scenes]),
        ("evaluate", ["--scenes", *scenes]),
    ):
        path = out / stage / "manifest.json"
        config = PROBE if stage == "probe" else {}
        assert command(stage, *model, *more, "--out", path, config=config) == 0
        assert read_manifest(path).counts["scenes"] == 6
    assert command("export", train, "--keep-heads", "--out", out / "exported") == 0


def test_each_command_ends_with_what_it_wrote_and_where(job, tiny_mllm, tmp_path, capsys):
    through_the_stages(job, tiny_mllm, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    found = {line.partition(":")[0]: line for line in lines}
    parameters = read_manifest(tmp_path / "train/manifest.json").counts["parameters"]
    assert found["train"] == (
        f"train: 1 step, {parameters:,} parameters;"
        f" mllm, log.jsonl, metrics.json, heads, manifest.json in {tmp_path}/train"
    )
    files = "metrics.json, rows.jsonl, lifted.zarr, manifest.json"
    assert found["lift"] == f"lift: 6 scenes; {files} in {tmp_path}/lift"
    files = "metrics.json, layers.json, depth.zarr, manifest.json"
    assert found["probe"] == f"probe: 6 scenes, 6 test scenes; {files} in {tmp_path}/probe"
    last = rf"export: a checkpoint of \d\.\d MB, with 3D heads; {tmp_path}/exported"
    assert re.fullmatch(last, lines[-1])


@pytest.mark.parametrize("save", [save_llava_qwen, save_llava_onevision_1_5])
def test_networks_that_transformers_lacks(job, save, tmp_path):
    base = save(tmp_path / "base")
    through_the_stages(job, base, tmp_path)
    exported = load_spatialsv(tmp_path / "exported")
    assert type(exported.mllm) is type(load_mllm(base)[0]) and exported.heads is not None


def test_code_in_a_checkpoint_is_carried_and_never_run(job, tmp_path):
    base = save_llava_onevision_1_5(tmp_path / "base")
    path, code = base / "config.json", "raise SystemExit('this ran')\n"
    named = {"AutoConfig": "configuration_llavaonevision1_5.Llavaonevision1_5Config"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": named}))
    (base / "configuration_llavaonevision1_5.py").write_text(code)
    through_the_stages(job, base, tmp_path)
    assert (tmp_path / "exported/configuration_llavaonevision1_5.py").read_text() == code
    told = json.loads((tmp_path / "exported/config.json").read_text())
    assert told["auto_map"] == named


def test_an_adapter_from_outside_goes_through_all_stages(job, mine, tmp_path):
    through_the_stages(job, save_mine(tmp_path / "base"), tmp_path, ["--family", mine])
    about = read_manifest(tmp_path / "train/manifest.json").about
    assert about["family"] == mine and about["rates"]["llm"] == 3e-6
    assert type(load_spatialsv(tmp_path / "exported", family=mine).family).__name__ == "Mine"


def test_a_name_in_a_checkpoint_imports_nothing(mine, tmp_path):
    folder = save_tiny_mllm(tmp_path / "base")
    (folder / "spatialsv.json").write_text(json.dumps({"family": mine}))
    with pytest.raises(ValueError, match=f"--family {mine}, or set models.<name>.family"):
        load_mllm(folder)
    with pytest.raises(ValueError, match=f"trained with the adapter {mine}"):
        load_mllm(folder, family="spatialsv.model.families.qwen2_5_vl:Qwen25VL")
    assert not list(tmp_path.rglob("ran"))
    load_mllm(save_mine(tmp_path / "other"), family=mine)
    assert list(tmp_path.rglob("ran"))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("no_such_package.adapter:Mine", "No module named 'no_such_package'"),
        ("json:Mine", "has no attribute 'Mine'"),
        ("json:JSONDecoder", "not a subclass of spatialsv's Family"),
    ],
)
def test_an_adapter_that_is_none_is_told(tiny_mllm, name, told):
    with pytest.raises(ValueError, match=f"adapter {name}: .*{told}.*PYTHONPATH"):
        load_mllm(tiny_mllm, family=name)
