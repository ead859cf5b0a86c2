"""A folder of one's own photos and a video, labelled by the DAG; only settings say so."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from helpers.outside import save_picture, save_video
from helpers.workflow_copy import make_copy
from spatialsv.scenes.store import load_groups

SECTIONS = ("labels", "pseudo", "train", "lift", "probe", "evaluate", "analysis", "report")
SECTIONS += ("ablations",)


@pytest.mark.xdist_group("captures")
def test_photos_and_a_video_are_labelled_by_settings_alone(tmp_path):
    copy = make_copy(tmp_path)
    external = copy.root / "external"
    for number in range(3):
        save_picture(external / "home" / f"{number}.jpg", (96, 64), number)
    save_video(external / "walk.mp4", 20)
    scenes = {
        "source": {"train": "photos", "unlabelled": "video"},
        "splits": {"train": 1, "unlabelled": 1, "validation": 0, "test": 0},
        "shard_size": 1,
        "read": {
            "files": {"train": "external/home", "unlabelled": "external/walk.mp4"},
            "frames": 4,
            "max_pixels": 4096,
        },
    }
    overlay = {name: {} for name in (*SECTIONS, "base", "models", "needs")}
    overlay |= {"scenes": scenes, "pseudo": {"splits": ["unlabelled"], "floor": 0.0}}
    path = copy.root / "workflow/config/mine.yaml"
    path.write_text(yaml.safe_dump(overlay))
    copy.edit("workflow/config/run.yaml", "overlay: default", "overlay: mine")

    found = copy.snakemake("data/labels/rooms/train/0000.json")
    assert found.returncode == 0, found.stdout
    (labels,) = load_groups(copy.root / "data/labels/rooms/train/0000.zarr")
    assert labels.ids == ("home",) and labels.shape == (3, 52, 78)
    assert labels.valid.any() and np.isfinite(labels.cam_to_world).all()

    found = copy.snakemake("data/pseudo/unlabelled/0000.json")
    assert found.returncode == 0, found.stdout
    manifest = json.loads((copy.root / "data/pseudo/unlabelled/0000.json").read_text())
    assert manifest["counts"]["scenes"] == 1

    scenes["read"]["files"]["train"] = "external/nowhere"
    path.write_text(yaml.safe_dump(overlay))
    found = copy.snakemake("data/labels/rooms/train/0000.json")
    assert found.returncode != 0 and "scenes.read.files.train: no external/nowhere" in found.stdout
