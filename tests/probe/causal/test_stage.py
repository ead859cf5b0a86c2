"""Interventions on a tiny model with random weights."""

import json

import numpy as np
import pytest
import torch

from helpers.view_pairs import CONFIG
from spatialsv.config import to_mapping
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.model.mllm import load_mllm
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.probe.causal.choices import ChoiceReader
from spatialsv.probe.causal.counterfactuals import make_counterfactuals
from spatialsv.probe.causal.measure import CausalConfig, Interventions
from spatialsv.probe.causal.stage import conclude, run
from spatialsv.rooms.splits import split_seeds
from spatialsv.rooms.views import render_views

SETTINGS = CausalConfig(layers=(0, 2), questions=4, max_scenes=16, batch_size=4)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Manifests of rooms as the stage `scenes` writes them."""
    folder, paths = tmp_path_factory.mktemp("rooms"), {}
    for split, count in (("train", 16), ("test", 24)):
        seeds = split_seeds(split, 0, count)
        paths[split] = folder / f"{split}.json"
        write_manifest(
            paths[split],
            Manifest(
                stage="scenes",
                payload={},
                config={"rooms": to_mapping(CONFIG)},
                about={"seeds": [seeds.start, seeds.stop]},
            ),
        )
    return paths


def test_what_is_written(tiny_mllm, shards, tmp_path):
    out = tmp_path / "manifest.json"
    run(tiny_mllm, [shards["train"]], [shards["test"]], SETTINGS, out)
    record = json.loads(read_manifest(out).find("causal.json").read_text())
    assert record["conclusion"] == "absent"  # random weights
    assert set(record["explained"]) == {"0", "2"}
    rows = {
        (row["kind"], row["layer"]): row for row in record["interventions"] if row["task"] == "all"
    }
    kinds = ("swap", "pose", "pose_random", "pose_same")
    assert set(rows) == {(kind, layer) for kind in kinds for layer in (0, 2)}
    for row in rows.values():
        assert 0 <= row["followed"] <= 1 and row["low"] <= row["effect"] <= row["high"]


def test_a_swap_of_all_that_is_seen_gives_the_answers_about_the_other_room(tiny_mllm):
    """At layer 0 nothing of the original images is left, so answers are the other images'."""
    model = SpatialSV(*load_mllm(tiny_mllm)).requires_grad_(False)
    seeds = split_seeds("test", 0, 24)
    made = make_counterfactuals(seeds, CONFIG, 20, 0)
    _, train = render_views(split_seeds("train", 0, 16), CONFIG)
    rows = list(Interventions(model, train, made, (0,), SETTINGS).swaps())
    other = ChoiceReader(model, made.rearranged)
    margins = other.margins(other.collate(made.swap))
    is_first = torch.tensor([question.answer == "A" for question in made.swap])
    expected = ((margins > 0) != is_first).float().mean()
    assert rows[0]["task"] == "all"
    assert rows[0]["followed"] == pytest.approx(float(expected))


def test_questions_and_poses_belong_together():
    made = make_counterfactuals(split_seeds("test", 0, 40), CONFIG, 10, 0)
    assert [made.scenes.ids[i] for i in made.pose_rooms] == [q.scene for q in made.pose]
    assert made.rearranged.ids == made.scenes.ids
    assert len(made.pose_flips.rotation) == len(made.pose_same.translation) == len(made.pose)
    rotation = made.pose_flips.rotation
    np.testing.assert_allclose(
        rotation @ rotation.transpose(0, 2, 1), np.eye(3)[None] + 0 * rotation, atol=1e-9
    )
    answers = [q.answer for q in made.swap if q.task == "cross_facing"]
    assert len(answers) > 2


def row(kind="pose", effect=0.2, low=0.1, task="all"):
    return {"kind": kind, "effect": effect, "low": low, "task": task}


@pytest.mark.parametrize(
    ("position", "rows", "expected"),
    [
        (0.4, [row()], "absent"),
        (0.6, [row()], "used"),
        (0.6, [row(kind="heads")], "used"),
        (0.6, [row(low=-0.01)], "unused"),
        (0.6, [row(effect=0.05, low=0.01)], "unused"),
        (0.6, [row(kind="pose_random"), row(kind="swap"), row(task="cross_side")], "unused"),
    ],
)
def test_conclusions(position, rows, expected):
    assert conclude({"2": {"position": 0.1}, "heads": {"position": position}}, rows) == expected


def test_other_scenes_are_an_error(tiny_mllm, shards, tmp_path):
    path = tmp_path / "photos.json"
    write_manifest(path, Manifest(stage="scenes", payload={}))
    with pytest.raises(ValueError, match=r"photos\.json: expected a shard of rooms"):
        run(tiny_mllm, [path], [shards["test"]], SETTINGS, tmp_path / "out" / "manifest.json")
