"""What an arm learns from: its own stores, in two pools."""

import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from spatialsv.config import from_mapping
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.model.mllm import load_mllm
from spatialsv.samples.collate import stack_targets
from spatialsv.scenes.scene import GateReason
from spatialsv.scenes.store import load_groups, write_store
from spatialsv.train import TrainConfig
from spatialsv.train.data import load_data, nested_share


@pytest.fixture
def load(job, tiny_mllm):
    processor = load_mllm(tiny_mllm)[1]

    def load(name, scenes=job.scenes, labels=job.labels, pseudo=job.pseudo, config=None, **arms):
        config = from_mapping(TrainConfig, {"arms": arms} | (config or {}), "train")
        inputs = (scenes, labels, pseudo)
        return load_data(name, config.arm(name), config, processor, 0, *inputs)

    return load


def test_text_reads_no_labels(load):
    data = load("text")
    assert (data.text, data.spatial, data.feature_channels) == (18, 0, None)
    assert set(data.digests) == {"scenes"}
    assert data.pools.text.get(0, 0).target is None


def test_who_made_the_labels_is_known(load):
    (teacher,) = load("spatialsv").teachers
    assert set(teacher) == {"teacher", "revision", "licence"}
    assert load("text").teachers == ()


def test_semi_draws_images_only_from_what_the_gate_kept(load, job):
    data = load("semi", job.scenes + job.unlabelled)
    assert (data.text, data.spatial, data.feature_channels) == (18, 4, 8)
    seen = [one.ids[0] for one in data.pools.spatial.scenes]
    assert seen == ["other-0", "other-1", "other-3", "other-4"]
    batch = next(iter(data.sampler(TrainConfig(batch_size=6), 1, 0)))
    samples = [data.pools[draw] for draw in batch]
    asked = [bool((sample.tokens.labels != -100).any()) for sample in samples]
    assert asked == [True] * 3 + [False] * 3
    assert all(sample.target is not None for sample in samples)


def test_a_scene_that_is_asked_about_may_be_pseudo_labelled_elsewhere(load, job, tmp_path):
    """Records that share images share a scene, and stand in whatever shards they come to."""
    (place,) = job.scenes[:1]
    path = tmp_path / "again.json"
    (group,) = load_groups(read_manifest(place).find(".zarr"))
    digest = write_store(tmp_path / "again.zarr", group.select(slice(0, 1)))
    write_manifest(path, Manifest(stage="scenes", payload={"again.zarr": digest}))
    labels = load_groups(read_manifest(job.labels[0]).find(".zarr"))[0].select(slice(0, 1))
    pseudo = tmp_path / "pseudo.json"
    payload = {"pseudo.zarr": write_store(tmp_path / "pseudo.zarr", labels)}
    about = {"made_from": {"scenes": {"again.zarr": digest}}, "excluded": {}}
    write_manifest(pseudo, Manifest(stage="pseudo", payload=payload, about=about))
    data = load("semi", [*job.scenes, path], pseudo=[pseudo])
    assert (data.text, data.spatial) == (18, 1)


def test_pseudo_labels_without_a_list_of_excluded_scenes_are_refused(load, job, tmp_path):
    manifest = read_manifest(job.pseudo[0])
    about = {key: value for key, value in manifest.about.items() if key != "excluded"}
    path = job.pseudo[0].with_name("old.json")
    write_manifest(path, replace(manifest, about=about | {"left_out": {}}))
    with pytest.raises(ValueError, match=r"old\.json: no list of excluded scenes"):
        load("semi", job.scenes + job.unlabelled, pseudo=[path])


def test_pseudo_labels_of_unknown_scenes_are_refused(load, job, tmp_path):
    manifest = read_manifest(job.pseudo[0])
    path = job.pseudo[0].with_name("nowhere.json")
    write_manifest(path, replace(manifest, about={"excluded": {}}))
    with pytest.raises(ValueError, match=r"nowhere\.json: the scenes of these pseudo labels"):
        load("semi", job.scenes + job.unlabelled, pseudo=[path])
    path.unlink()


def test_who_does_not_distil_reads_no_features(load, job, tiny_labels, tmp_path):
    pseudo = pseudo_manifest(tmp_path / "0000.json", job, tiny_labels.replace(features=None))
    arm = {"tasks": ["depth"], "pseudo": True}
    data = load("arm", job.scenes + job.unlabelled, pseudo=pseudo, arm=arm)
    targets = data.pools.text.get(0, 0).target, data.pools.spatial.images_only(0).target
    assert [target.features for target in targets] == [None, None]
    with pytest.raises(ValueError, match="distils a teacher's features, but its label stores"):
        load("arm", job.scenes + job.unlabelled, pseudo=pseudo, arm=arm | {"distill": True})


def test_one_question_with_two_texts_is_refused(load, job, tmp_path):
    lines = read_manifest(job.scenes[0]).find(".questions.jsonl").read_text()
    manifest = read_manifest(job.scenes[0])
    asked = tmp_path / "twice.questions.jsonl"
    asked.write_text(lines.replace("?", "!?"))
    store = manifest.find(".zarr")
    shutil.copytree(store, tmp_path / "twice.zarr")
    payload = {"twice.zarr": manifest.payload[store.name], asked.name: digest_path(asked)}
    write_manifest(tmp_path / "twice.json", replace(manifest, payload=payload))
    with pytest.raises(ValueError, match="two different questions have the id"):
        load("text", [job.scenes[0], tmp_path / "twice.json"])


def valid_shares(data):
    targets = [data.pools.spatial.targets(row, (0, 1)) for row in range(data.spatial)]
    return {float(target.valid.double().mean()) for target in targets}


def pseudo_manifest(path, job, labels, **changes):
    """A store of pseudo labels of the unlabelled scenes, of which none is left out."""
    ids = tuple(f"other-{i}" for i in range(len(labels)))
    store = path.with_suffix(".zarr")
    digest = write_store(store, labels.replace(ids=ids, **changes))
    about = {"made_from": read_manifest(job.pseudo[0]).about["made_from"], "excluded": {}}
    write_manifest(path, Manifest(stage="pseudo", payload={store.name: digest}, about=about))
    return [path]


def test_an_ungated_arm_sees_what_was_left_out_as_well(load, job):
    arm = {"distill": True, "tasks": ["depth"], "pseudo": True, "gated": False}
    assert load("arm", job.scenes + job.unlabelled, arm=arm).spatial == 6


def test_only_what_the_gate_kept_is_taught_unless_the_arm_says_otherwise(
    load, job, tiny_labels, tmp_path
):
    reason = np.zeros(tiny_labels.valid.shape, dtype=np.uint8)
    reason[:, :, :8], reason[:, :, 8:12] = GateReason.UNSURE, GateReason.INVALID
    kept = {"reason": reason, "valid": reason == GateReason.KEPT}
    pseudo = pseudo_manifest(tmp_path / "0000.json", job, tiny_labels, **kept)
    settings = {"distill": True, "tasks": ["depth"], "pseudo": True}
    arms = {"gated": settings, "ungated": settings | {"gated": False}}
    gated, ungated = (load(arm, job.scenes + job.unlabelled, pseudo=pseudo, **arms) for arm in arms)
    assert valid_shares(gated) == {20 / 32}  # rows of the images
    assert valid_shares(ungated) == {28 / 32}  # but for what has no depth at all


def test_pseudo_labels_of_unknown_reasons_are_no_ungated_ones(load, job, tiny_labels, tmp_path):
    old = pseudo_manifest(tmp_path / "old.json", job, tiny_labels)
    arm = {"tasks": ["depth"], "pseudo": True, "gated": False}
    with pytest.raises(ValueError, match="the gate's reasons are missing"):
        load("arm", job.scenes + job.unlabelled, pseudo=old, arm=arm)


CONFIDENT = {"losses": {"confidence_weights": True}}
DEPTH = {"distill": True, "tasks": ["depth"], "pseudo": True, "labels_share": 0}


def test_confident_pixels_of_a_teacher_weigh_more(load, job, tiny_labels, tmp_path):
    confidence = np.random.default_rng(0).uniform(1, 9, tiny_labels.valid.shape)
    changed = {"confidence": confidence.astype(np.float32)}
    pseudo = pseudo_manifest(tmp_path / "sure.json", job, tiny_labels, **changed)
    data = load("arm", job.scenes + job.unlabelled, pseudo=pseudo, config=CONFIDENT, arm=DEPTH)
    targets = [data.pools.spatial.images_only(row).target for row in (0, 3)]
    labels = stack_targets([*targets, None], [2, 2, 2])
    logs = np.log(confidence[[0, 3]].astype(np.float32))
    expected = logs / logs.mean(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(labels.weight[:2].numpy(), expected, rtol=1e-5)
    assert not labels.weight[2].any()
    plain = load("arm", job.scenes + job.unlabelled, pseudo=pseudo, arm=DEPTH)
    assert plain.pools.spatial.images_only(0).target.confidence is None


def test_a_teacher_that_is_equally_sure_of_all_gives_no_weights(load, job, tiny_labels, tmp_path):
    with pytest.raises(ValueError, match=r"'plane-0' is nowhere above 1\. Set .*to false, or"):
        load("arm", config=CONFIDENT, arm={"tasks": ["depth"]})
    none = pseudo_manifest(tmp_path / "none.json", job, tiny_labels, confidence=None)
    with pytest.raises(ValueError, match=r"none\.zarr: these labels have no confidence\. Set"):
        load("arm", job.scenes + job.unlabelled, pseudo=none, config=CONFIDENT, arm=DEPTH)
    load("arm", config=CONFIDENT, arm={"distill": True})  # learns nothing of pixels


@pytest.mark.parametrize(("share", "count"), [(0.05, 1), (0.25, 2), (0.5, 3), (1.0, 6)])
def test_a_share_of_the_labels_leaves_the_questions_alone(load, share, count):
    data = load("arm", arm={"distill": True, "tasks": ["depth"], "labels_share": share})
    assert (data.text, data.feature_channels) == (18, 8)
    targets = [data.pools.text.get(0, index).target for index in range(18)]
    assert sum(target is not None for target in targets) == 3 * count  # questions a scene


def test_shares_are_nested_whatever_the_order():
    names = [f"rooms-{i:08d}" for i in range(200)]
    shares = [nested_share(names, share) for share in (0.05, 0.1, 0.25, 0.5, 1.0)]
    assert [len(share) for share in shares] == [10, 20, 50, 100, 200]
    assert all(small < large for small, large in pairwise(shares))
    assert nested_share(names[::-1], 0.25) == shares[2]
    assert not shares[2] <= set(names[:100])  # not the first ones


def test_without_a_share_of_the_labels_none_are_read(load, job):
    arm = {"distill": True, "tasks": ["depth"], "labels_share": 0, "pseudo": True}
    data = load("arm", job.scenes + job.unlabelled, labels=[], arm=arm)
    assert (data.text, data.spatial, data.feature_channels) == (18, 4, 8)
    assert data.digests.keys() == {"scenes", "pseudo"}
    assert data.pools.text.get(0, 0).target is None
    assert data.pools.spatial.images_only(0).target is not None


def test_an_arm_without_text_sees_only_the_share_whose_labels_it_learns(load):
    arm = {"text": False, "tasks": ["depth"], "labels_share": 0.5}
    data = load("arm", arm=arm)
    assert (data.text, data.spatial) == (0, 3)
    assert all(data.pools.spatial.images_only(row).target is not None for row in range(3))


def test_an_arm_without_text_sees_its_labelled_scenes(load):
    data = load("depth", depth={"text": False, "tasks": ["depth"]})
    assert (data.text, data.spatial, data.feature_channels) == (0, 6, None)
    batch = next(iter(data.sampler(TrainConfig(batch_size=4), 1, 0)))
    assert all(bool((data.pools[draw].tokens.labels == -100).all()) for draw in batch)


def test_a_blind_arm_sees_grey(load):
    pools = load("no_image").pools
    first, last = (pools.text.get(0, i).views.inputs["pixel_values"] for i in (0, 17))
    assert first.equal(last)


def test_an_arm_may_learn_from_some_tasks_only(load):
    every = load("text").pools.text
    tasks = sorted({q.task for _, _, group in every._groups for q in group})
    data = load("some", some={"questions": tasks[:1]})
    chosen = {q.task for _, _, group in data.pools.text._groups for q in group}
    assert chosen == {tasks[0]} and data.text <= load("text").text
    with pytest.raises(ValueError, match=r"arms.some.questions: no scene has .* 'cross_side'"):
        load("some", some={"questions": ["cross_side"]})


def test_shuffled_labels_are_those_of_other_scenes(load):
    geometry = {"tasks": ["depth"]}
    own, shuffled = (
        load("arm", arm=geometry | {"shuffle_labels": shuffle}).pools.text.targets
        for shuffle in (False, True)
    )
    given = [own._rows[name] for name in own.ids]
    others = [shuffled._rows[name] for name in own.ids]
    assert sorted(given) == sorted(others)
    assert all(one != other for one, other in zip(given, others, strict=True))
    donor = own.ids[given.index(others[0])]
    assert donor != own.ids[0]
    assert torch.equal(shuffled(0, (0,)).depth, own(own.ids.index(donor), (0,)).depth)
