"""EASI-8: the overlay's benchmarks, in their authors' layout, on a model of random weights."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dag import Dag
from helpers.benchmark_rows import ROWS, VSI, write_release
from helpers.outside import save_picture, save_video
from settings import load_settings
from spatialsv.config import from_mapping
from spatialsv.evaluate import EvaluateConfig, prompter, run
from spatialsv.evaluate.dialogue import interleaved_messages

ROOT = Path(__file__).parents[2]
EIGHT = load_settings(ROOT, {"overlay": "easi_8"})["evaluate"]["benchmarks"]
MARKED = {"question": "Is <image> of the same room as <image>?", "options": ["yes", "<image>"]}


def png(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (56, 56, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


# What the made-up row needs to show an image or a video.
IMAGES: dict[str, dict[str, Any]] = {
    "mmsi_bench": {"images": [png(0), png(1)]},
    "blink": {
        "image_1": {"bytes": png(), "path": None},
        **{f"image_{number}": None for number in (2, 3, 4)},
    },
    "3dsrbench": {"image": base64.b64encode(png()).decode()},
    "embspatial_bench": {"image": base64.b64encode(png()).decode()},
    "site_bench": MARKED | {"visual": ["a.jpg", "b.jpg", "c.jpg"]},
}
FILES = {
    "mindcube_tiny": ["among/g1/front.jpg"],
    "viewspatial": ["V/s/scene0011_00/1.jpg"],
    "site_bench": ["a.jpg", "b.jpg", "c.jpg"],
}


def release(name: str, folder: Path) -> Path:
    write_release(name, folder, ROWS[name][1] | IMAGES.get(name, {}))
    for number, file in enumerate(FILES.get(name, [])):
        save_picture(folder / file, (56, 56), number)
    if name == "vsi_bench":
        save_video(folder / VSI["dataset"] / f"{VSI['scene_name']}.mp4", 4)
    if name == "site_bench":
        video = ROWS[name][1] | {"visual": ["v/1.mp4"]}
        (folder / "video_test/test.json").write_text(json.dumps([video]))
        save_video(folder / "v/1.mp4", 4)
    return folder


def test_the_overlay_names_the_eight_by_their_rules_in_vlmevalkit():
    assert list(EIGHT) == [
        *("vsi_bench", "mmsi_bench", "mindcube_tiny", "viewspatial", "site_bench", "blink"),
        *("3dsrbench", "embspatial_bench"),
    ]
    assert {config["protocol"] for config in EIGHT.values()} == {"vlmevalkit"}
    mine = {"models": {"mine": {"path": "external/mine"}}, "train": {"base": "mine"}}
    jobs = Dag(load_settings(ROOT, {"overlay": "easi_8"} | mine)).stage_manifests("evaluate")
    assert [f"data/evaluate/mine/base/0/{name}/manifest.json" in jobs for name in EIGHT] == [
        True
    ] * 8


@pytest.mark.parametrize("name", EIGHT)
def test_each_runs_from_the_overlay(name, tmp_path, tiny_mllm, monkeypatch):
    settings = {key: value for key, value in EIGHT[name].items() if key not in ("data", "get")}
    config = from_mapping(EvaluateConfig, settings | {"max_new_tokens": 2, "frames": 2}, name)
    prompts, generate = [], prompter.generate

    def recorded(model, family, waiting, *more):
        prompts.extend(waiting)
        return generate(model, family, waiting, *more)

    monkeypatch.setattr(prompter, "generate", recorded)
    data = release(name, tmp_path / "data")
    manifest = run(tiny_mllm, (), config, tmp_path / "out", benchmark=name, data=data)
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert manifest.about["protocol"] == scores["protocol"] == "vlmevalkit"
    assert scores["items"] == len(prompts) == (2 if name == "site_bench" else 1)
    assert -1 <= scores["overall"] <= 1
    views = [len(prompt.views.placeholders) for prompt in prompts]
    shown = {"vsi_bench": [2], "mmsi_bench": [2], "site_bench": [3, 2]}.get(name, [1])
    assert sorted(views, reverse=True) == shown


def test_images_of_site_bench_are_within_the_text():
    text = "Question: Is <image> of the same room as <image>?\nOptions:\nA: yes\nB: <image>\nWhich?"
    (message,) = interleaved_messages(text, "<image>", 3)
    parts = [part.get("text", "<image>") for part in message["content"]]
    assert parts == [
        *("Question: Is", "<image>", "of the same room as", "<image>"),
        *("?\nOptions:\nA: yes\nB:", "<image>", "Which?"),
    ]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (0, ["a", "b", "c"]),  # marks without an image are removed
        (1, ["a", "<image>", "b", "c"]),
        (4, ["a", "<image>", "b", "<image>", "<image>", "<image>", "c"]),  # as in lmms-eval
    ],
)
def test_images_and_marks_may_differ_in_number(images, expected):
    (message,) = interleaved_messages("a<image> b <image>c", "<image>", images)
    assert [part.get("text", "<image>") for part in message["content"]] == expected


def test_a_mark_at_either_end_leaves_no_empty_text():
    (message,) = interleaved_messages("<image> b <image>\n", "<image>", 2)
    assert [part.get("text", "<image>") for part in message["content"]] == [
        *("<image>", "b", "<image>")
    ]
