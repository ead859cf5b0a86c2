"""Training on images of several sizes, as MLLMs that resize and MLLMs that tile take them."""

import json

import pytest

from helpers.outside import write_llava, write_mindcube
from helpers.tiny_families import save_internvl
from spatialsv.config import from_mapping
from spatialsv.io.manifest import read_manifest
from spatialsv.labels import LabelsConfig
from spatialsv.labels import run as label
from spatialsv.scenes.readers.config import ReadConfig
from spatialsv.scenes.readers.stage import read_shard
from spatialsv.train import TrainConfig, run

SETTINGS = {
    **{"steps": 12, "batch_size": 4, "log_steps": 100, "lr_llm": 1e-3, "lr_vl_projector": 1e-3},
    **{"lr_heads": 3e-3, "warmup_ratio": 0.0, "label_size": [16, 16]},
    "heads": {"taps": [1, 2, 3, 4], "projector_width": 8, "output_size": [16, 16]},
}


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Scenes and labels of data in both formats: manifests."""
    root = tmp_path_factory.mktemp("outside")
    files = {"mindcube": write_mindcube(root, "mindcube", 2), "llava": write_llava(root, "llava")}
    made = {}
    for source, path in files.items():
        config = ReadConfig(files={"train": str(path)}, images=str(root), frames=3)
        scenes, labels = root / f"scenes/{source}.json", root / f"labels/{source}.json"
        read_shard(source, "train", 0, config, scenes)
        label(scenes, "rooms", LabelsConfig(), labels)
        made[source] = (scenes, labels)
    return made


@pytest.fixture(scope="module", params=["shipped", "internvl"])
def base(request, tmp_path_factory):
    """An MLLM that resizes, and one that tiles."""
    folder = tmp_path_factory.mktemp("internvl")
    return "rooms" if request.param == "shipped" else save_internvl(folder)


@pytest.mark.parametrize("source", ["mindcube", "llava"])
def test_text_and_geometry_are_learnt_from_batches_of_several_sizes(base, job, source, tmp_path):
    scenes, labels = job[source]
    config = from_mapping(TrainConfig, SETTINGS, "train")
    out = tmp_path / "manifest.json"
    run("spatialsv", 0, [scenes], [labels], [], config, out, base=base)
    lines = [
        json.loads(line) for line in read_manifest(out).find(".jsonl").read_text().split("\n")[:-1]
    ]
    for name in ("text", "distill", "depth/l2", "rays/l2", "points/l2"):
        first, last = (sum(line[name] for line in part) for part in (lines[:3], lines[-3:]))
        assert last < first, name


def test_labels_of_several_sizes_need_a_setting_and_packed_questions_one_size(job, tmp_path):
    for change, remedy in (({"label_size": None}, "label_size"), ({"packed": True}, "packed")):
        config = from_mapping(TrainConfig, SETTINGS | change, "train")
        scenes, labels = job["mindcube"]
        with pytest.raises(ValueError, match=rf"train\.{remedy}"):
            run("spatialsv", 0, [scenes], [labels], [], config, tmp_path / "m.json")
