"""What the gate is worth, where the truth is known: counts that add up, and a gate that pays."""

import numpy as np
import pytest

from spatialsv.pseudo.gate import GateConfig, gate_scene
from spatialsv.pseudo.measure import SWEEPS, TOLERANCE, measure_gate
from spatialsv.scenes.scene import GateReason, Scenes
from spatialsv.scenes.scene_list import SceneList
from spatialsv.teachers.exact import ExactTeacher

CONFIG = GateConfig(confidence_percentile=10.0, pixels=0.7)
BAD = (slice(8, 14), slice(10, 20))  # pixels of each first view


def judged(scenes: Scenes, config: GateConfig = CONFIG) -> list[Scenes]:
    """Exact labels in another unit, 30 % too far in one patch, of which the teacher is unsure."""
    labels = ExactTeacher().label(scenes)
    depth, confidence = 7 * labels.depth, labels.confidence + 1
    depth[(slice(None), 0, *BAD)] *= 1.3
    poses = labels.cam_to_world.copy()
    poses[..., :3, 3] *= 7
    confidence[(slice(None), 0, *BAD)] = 1
    labels = labels.replace(depth=depth, cam_to_world=poses, confidence=confidence)
    pairs = zip(SceneList(labels), SceneList(scenes), strict=True)
    return [gate_scene(*pair, config, floor=0.0).labels for pair in pairs]


def total(counts: dict, name: str = "pixels") -> float:
    return sum(counts[name])


def test_every_measured_pixel_has_one_reason_and_its_own_error(tiny_scenes):
    labels = judged(tiny_scenes)
    hidden = tiny_scenes.valid.copy()
    hidden[:, :, :3] = False  # what nobody knows is not measured
    truth = tiny_scenes.replace(valid=hidden)
    found = measure_gate(labels, SceneList(truth), CONFIG)
    assert found["scenes"] == list(tiny_scenes.ids) and found["tolerance"] == TOLERANCE
    reasons = found["reasons"]
    assert sum(map(total, reasons.values())) == hidden.sum()
    for name, counts in reasons.items():
        theirs = [
            (one.reason == GateReason[name.upper()]) & k
            for one, k in zip(labels, hidden, strict=True)
        ]
        assert counts["pixels"] == [int(t.sum()) for t in theirs]
    errors = []
    for label, one, known in zip(labels, SceneList(tiny_scenes), hidden, strict=True):
        depth, target = label.depth[0][known], one.depth[0][known]
        errors.append(np.abs(depth * np.median(target) / np.median(depth) / target - 1))
    errors = np.concatenate(errors)
    for name, expected in (("error", errors.sum()), ("accurate", (errors < 0.05).sum())):
        found = sum(total(counts, name) for counts in reasons.values())
        assert found == pytest.approx(expected, rel=1e-5)


def test_each_threshold_by_itself_keeps_better_pixels_than_chance(tiny_scenes):
    found = measure_gate(judged(tiny_scenes), SceneList(tiny_scenes), CONFIG)
    every = sum(map(total, found["reasons"].values()))
    chance = sum(total(counts, "accurate") for counts in found["reasons"].values()) / every
    assert chance < 0.98
    for name, sweep in found["sweeps"].items():
        at = [row["at"] for row in sweep]
        assert at == sorted({*SWEEPS[name], getattr(CONFIG, name)})
        kept = [total(row) for row in sweep]
        assert kept == sorted(kept, reverse=name == "confidence_percentile")
        precision = [total(row, "accurate") / total(row) for row in sweep if total(row)]
        assert max(precision) == pytest.approx(1, abs=2e-3) and min(precision) > chance - 1e-3
    assert total(found["sweeps"]["confidence_percentile"][0]) == every


def test_where_nothing_is_known_nothing_is_measured(tiny_scenes):
    labels = judged(tiny_scenes)
    photos = tiny_scenes.replace(depth=None, valid=None)
    assert measure_gate(labels, SceneList(photos), CONFIG) is None
    blank = tiny_scenes.replace(valid=np.zeros_like(tiny_scenes.valid))
    assert measure_gate(labels, SceneList(blank), CONFIG) is None
    part = [SceneList(photos)[0], *SceneList(tiny_scenes)[1:]]
    assert measure_gate(labels, part, CONFIG)["scenes"] == list(tiny_scenes.ids[1:])


def test_a_threshold_is_measured_with_the_others_switched_off(tiny_scenes):
    """At the loosest of each sweep all pixels are kept, whatever their confidence and geometry."""
    labels = ExactTeacher().label(tiny_scenes)
    rng = np.random.default_rng(0)
    labels = labels.replace(
        confidence=rng.uniform(1, 5, labels.depth.shape).astype(np.float32),
        depth=labels.depth * rng.uniform(0.97, 1.03, labels.depth.shape).astype(np.float32),
    )
    pairs = zip(SceneList(labels), SceneList(tiny_scenes), strict=True)
    gated = [gate_scene(*pair, CONFIG, floor=0.0).labels for pair in pairs]
    found = measure_gate(gated, SceneList(tiny_scenes), CONFIG)
    for name, loosest in (("confidence_percentile", 0), ("pixels", -1), ("relative_depth", -1)):
        kept = [total(row) for row in found["sweeps"][name]]
        assert kept[loosest] == tiny_scenes.valid.sum()
        assert min(kept) < tiny_scenes.valid.sum()
