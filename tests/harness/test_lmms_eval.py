"""lmms-eval itself, by its own command line, on local tasks. Opt-in: `make test-harness`, or

    SPATIALSV_HARNESS_PYTHON=.venv-harness/bin/python pytest tests/harness/test_lmms_eval.py

Replies must be those of `spatialsv evaluate` to the same prompts: from the job's manifest and from
its folder (heads kept), from the plain export, and, of stock lmms-eval's own Qwen2.5-VL adapter,
from the plain export as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from helpers.outside import save_video
from spatialsv.cli import main
from spatialsv.evaluate import EvaluateConfig, run
from spatialsv.scenes.question import read_questions
from spatialsv.scenes.store import load_store

PYTHON = os.environ.get("SPATIALSV_HARNESS_PYTHON")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not PYTHON, reason="SPATIALSV_HARNESS_PYTHON names no environment"),
]
# 112 pixels: a multiple of 28, to which qwen_vl_utils rounds, and of the shipped model's cells.
ROOMS = {"shard_size": 6, "questions": 12, "rooms": {"views": 3, "image_size": 112, "samples": 1}}
ARM = {"geometry": {"tasks": ["depth", "rays", "points"]}}
TRAIN = {"steps": 2, "batch_size": 2, "label_stride": 4, "lr_llm": 3e-4, "arms": ARM}
TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_messages: !function asked.messages
doc_to_target: answer
process_results: !function asked.results
generation_kwargs: {{max_new_tokens: 16, temperature: 0, do_sample: false}}
metric_list: [{{metric: exact, aggregation: mean, higher_is_better: true}}]
"""
ASKED = """
from PIL import Image


def messages(doc):
    shown = [{"type": "image", "url": Image.open(path)} for path in doc["images"]]
    shown += [{"type": "video", "url": path} for path in doc["video"]]
    return [{"role": "user", "content": [*shown, {"type": "text", "text": doc["prompt"]}]}]


def results(doc, results):
    return {"exact": float(results[0] == doc["answer"])}
"""
# What the shipped chat template writes for an image, and what Qwen's writes for a video as well.
IMAGE = "{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}"
VIDEO = "{%- elif part['type'] == 'video' -%}{{- '<|vision_start|><|video_pad|><|vision_end|>' -}}"
# PyPI's torchvision is built for CUDA. Beside a torch for CPUs it imports once two operators have
# signatures; nothing here calls them.
SIGNATURES = """
import torch
torch.library.define("torchvision::nms", "(Tensor a, Tensor b, float c) -> Tensor")
torch.library.define("torchvision::qnms", "(Tensor a, Tensor b, float c) -> Tensor")
"""


def write_task(folder: Path, name: str, rows: list[dict]) -> None:
    """A task of lmms-eval in `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / "asked.py").write_text(ASKED)
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / f"{name}.yaml").write_text(TASK.format(name=name, rows=path))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Rooms, a model with heads that was trained on some, its export, and its replies to others."""
    made = tmp_path_factory.mktemp("made")
    shards = {split: str(made / f"scenes/{split}/0000.json") for split in ("train", "test")}
    for split, shard in shards.items():
        line = ["scenes", "--split", split, "--shard", "0", "--out", shard]
        assert main([*line, "--config", json.dumps(ROOMS)]) == 0
    labels, model = str(made / "labels/0000.json"), str(made / "model/manifest.json")
    line = ["labels", "--teacher", "exact", "--scenes", shards["train"], "--out", labels]
    assert main(line) == 0
    line = ["train", "--arm", "geometry", "--seed", "0", "--scenes", shards["train"]]
    line += ["--labels", labels, "--config", json.dumps(TRAIN), "--out", model]
    assert main(line) == 0
    assert main(["export", model, "--out", str(made / "export")]) == 0
    line = ["evaluate", "--model", model, "--scenes", shards["test"]]
    assert main([*line, "--out", str(made / "replies/manifest.json")]) == 0
    scenes = load_store(made / "scenes/test/0000.zarr", ["image"])
    images = {}
    for scene, views in zip(scenes.ids, scenes.image, strict=True):
        images[scene] = [str(made / f"{scene}-{number}.png") for number in range(len(views))]
        for path, view in zip(images[scene], views, strict=True):
            Image.fromarray(view).save(path)
    asked = read_questions(made / "scenes/test/0000.questions.jsonl")
    rows = [
        {"id": q.id, "images": [images[q.scene][view] for view in q.views], "video": []}
        | {"prompt": q.text, "answer": q.answer}
        for q in asked
    ]
    write_task(made / "tasks", "rooms", rows)
    return made


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in (path / "responses.jsonl").read_text().splitlines()]


def replies(path: Path) -> dict[str, str]:
    return {line["id"]: line["response"] for line in lines(path)}


def harness(
    made: Path, out: Path, task: str, model: str, arguments: str, size: int = 16, *more: str
) -> dict:
    """The replies of lmms-eval's run by question, from the samples that it logs."""
    (out / "signatures").mkdir(parents=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(out / "home")}
    if subprocess.run([PYTHON, "-c", "import torchvision"], capture_output=True).returncode:
        (out / "signatures/sitecustomize.py").write_text(SIGNATURES)
        environment["PYTHONPATH"] = str(out / "signatures")
    command = [PYTHON, "-m", "lmms_eval", "--model", model, "--model_args", arguments]
    command += ["--tasks", task, "--include_path", str(made / "tasks"), "--log_samples"]
    command += ["--batch_size", str(size), "--output_path", str(out / "runs"), *more]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = list((out / "runs").rglob(f"*_samples_{task}.jsonl"))
    assert done.returncode == 0 and len(found) == 1, done.stdout[-3000:] + done.stderr[-6000:]
    rows = [json.loads(row) for row in (made / f"tasks/{task}.jsonl").read_text().splitlines()]
    samples = map(json.loads, found[0].read_text().splitlines())
    return {rows[one["doc_id"]]["id"]: one["filtered_resps"] for one in samples}


@pytest.mark.parametrize("form", ["model/manifest.json", "model", "export"])
def test_replies_are_those_of_evaluate(made, tmp_path, form):
    found = harness(made, tmp_path, "rooms", "spatialsv", f"pretrained={made / form}")
    ours = replies(made / "replies")
    assert len(set(ours.values())) > 5
    assert found == ours


@pytest.fixture(scope="module")
def filmed(made) -> Path:
    """The export, with a chat template that takes a video as well."""
    folder = made / "filmed"
    shutil.copytree(made / "export", folder)
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace(IMAGE, IMAGE + VIDEO))
    return folder


@pytest.mark.parametrize("kind", ["image", "video"])
def test_replies_about_videos_are_those_of_evaluate(made, filmed, tmp_path, kind):
    data = tmp_path / "vsi"
    things = ("beds", "cones", "sofas", "lamps", "cyan chairs", "televisions")
    questions = [
        {"id": number, "dataset": "scannet", "scene_name": f"scene{number % 2}"}
        | {"question": f"How many {thing} are there?", "question_type": "object_counting"}
        | {"ground_truth": "2", "options": None}
        for number, thing in enumerate(things)
    ]
    for scene, frames in (("scene0", 9), ("scene1", 3)):
        save_video(data / f"scannet/{scene}.mp4", frames, (112, 84))
    (data / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in questions))
    config = EvaluateConfig(frames=4, max_new_tokens=16, videos_as=kind)
    run(filmed, (), config, tmp_path, benchmark="vsi_bench", data=data)
    rows = [
        {"id": line["id"], "images": [], "video": [str(data / line["inputs"]["video"])]}
        | {"prompt": line["prompt"], "answer": line["answer"]}
        for line in lines(tmp_path)
    ]
    write_task(made / "tasks", f"videos_{kind}", rows)
    arguments = f"pretrained={filmed},frames=4,videos_as={kind}"
    assert harness(made, tmp_path, f"videos_{kind}", "spatialsv", arguments, 2) == replies(tmp_path)
    assert len(set(replies(tmp_path).values())) > 1


def test_the_plain_export_runs_in_stock_lmms_eval(made, tmp_path):
    """Its own adapter computes in bfloat16, and resizes by torchvision: a few numbers differ.

    At one size, and with ours in bfloat16, none of 72 did.
    """
    arguments = f"pretrained={made / 'export'},device_map=cpu,min_pixels=4096,max_pixels=4096"
    found = harness(made, tmp_path, "rooms", "qwen2_5_vl", arguments, 1, "--device", "cpu")
    ours = replies(made / "replies")
    same = sum(found[name] == reply for name, reply in ours.items())
    assert found.keys() == ours.keys() and same / len(ours) >= 0.9, (same, len(ours))
