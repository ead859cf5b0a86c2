"""Bad input is told before the first step, with what to do about it."""

from pathlib import Path

import pytest

from spatialsv.config import from_mapping
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.samples.dataset import Pools
from spatialsv.scenes.scene import find_invalid_value
from spatialsv.scenes.store import write_store
from spatialsv.train import ARMS, ArmConfig, TrainConfig, run
from spatialsv.train.data import TrainingData
from spatialsv.train.stage import steps_of


@pytest.fixture
def train(job, tiny_mllm, tmp_path):
    def train(arm="spatialsv", scenes=None, labels=None, pseudo=None, **settings):
        config = from_mapping(TrainConfig, {"steps": 1} | settings, "train")
        inputs = (
            job.scenes if scenes is None else scenes,
            job.labels if labels is None else labels,
            job.pseudo if pseudo is None else pseudo,
        )
        run(arm, 0, *inputs, config, tmp_path / "out/manifest.json", base=tiny_mllm)

    yield train
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("depth", float("nan"), "depth of scene 'plane-1', view 1 is nan"),
        ("depth", -2.0, r"depth of scene 'plane-1', view 1 is -2\.0"),
        ("cam_to_world", float("inf"), "cam_to_world of scene 'plane-1', view 1 is inf"),
        ("features", float("nan"), "features of scene 'plane-1', view 1 is nan"),
    ],
)
def test_labels_that_cannot_be_right(train, job, tiny_labels, tmp_path, field, value, told):
    part = tiny_labels.select(slice(0, 3))
    values, place = getattr(part, field).copy(), (1, 1, 0, 0)
    values[place] = value
    valid = part.valid.copy()
    valid[place] = True
    store = tmp_path / "labels/0000.zarr"
    digest = write_store(store, part.replace(valid=valid, **{field: values}))
    path = store.with_suffix(".json")
    write_manifest(path, Manifest(stage="labels", payload={store.name: digest}))
    with pytest.raises(ValueError, match=rf"0000\.zarr: {told}.*Make these labels again"):
        train(labels=[path, job.labels[1]])


def test_values_that_do_not_count_may_be_anything(tiny_labels):
    depth, valid = tiny_labels.depth.copy(), tiny_labels.valid.copy()
    depth[0, 0, 0, 0], valid[0, 0, 0, 0] = float("nan"), False
    assert find_invalid_value(tiny_labels.replace(depth=depth, valid=valid)) is None


def test_an_unknown_arm(train):
    with pytest.raises(ValueError, match=r"unknown arm 'spatial'\. Known arms: .*spatialsv"):
        train("spatial")


def test_an_arms_misspelt_setting(train):
    with pytest.raises(ValueError, match=r"arms\.mine\.task: .*Did you mean 'tasks'"):
        train("mine", arms={"mine": {"task": ["depth"]}})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text": False}, "set text, distill, relation or tasks"),
        ({"pseudo": True}, "pseudo labels need distill, relation or tasks"),
        ({"blank_images": True, "distill": True}, "blank images have no geometry"),
        ({"text_share": 0.0}, r"mine\.text_share: expected a fraction above 0, found 0\.0"),
        (
            {"labels_share": 1.5, "distill": True},
            r"mine\.labels_share: expected 0 to 1, found 1\.5",
        ),
        ({"labels_share": 0.5}, r"mine\.labels_share: has no effect without distill"),
        (
            {"labels_share": 0, "distill": True},
            r"at 0 no geometry is left.*drop distill, relation and tasks",
        ),
        ({"relation": True}, r"arms\.mine\.relation: expected int, found True"),
        ({"relation": 5}, "relation: hidden state 5 does not exist. The MLLM has 0 .* to 4"),
        ({"relation": -2}, "relation: hidden state -2 does not exist"),
        ({"gated": False, "distill": True}, r"mine\.gated: has no effect without pseudo"),
        (
            {"tasks": ["depth"], "spatial_weight": 0.0},
            r"mine\.spatial_weight: expected more than 0, found 0\.0",
        ),
        ({"text": False, "tasks": ["depth"], "pseudo": True}, r"mine: without text, images are"),
        ({"taps": [1, 2, 3, 4]}, r"mine\.taps: has no effect without distill"),
        ({"teacher": ""}, r"mine\.teacher: has no effect without distill"),
        (
            {"distill": True, "teacher": "exact", "pseudo": True},
            r"mine\.teacher: pseudo labels are",
        ),
        ({"equal": "rooms"}, r"mine\.equal: .*rooms"),
    ],
)
def test_an_arm_that_makes_no_sense(train, settings, message):
    with pytest.raises(ValueError, match=message):
        train("mine", arms={"mine": settings})


def test_an_arm_is_what_the_settings_say_of_it_and_nothing_else():
    config = TrainConfig(arms={"spatialsv": {"tasks": ["depth"]}})
    assert config.arm("spatialsv") == ArmConfig(tasks=("depth",))  # no distillation
    assert config.arm("distill") == ARMS["distill"]


@pytest.mark.parametrize(
    ("augment", "settings", "message"),
    [
        ({"zoom": 0.5}, {}, r"augment\.zoom: expected 1"),
        ({"zoom": "2"}, {}, r"arms\.mine\.augment\.zoom: expected float, found '2'"),
        (
            {"zoom": 2.0},
            {"cache_vision": True},
            r"mine\.augment: .* Set train\.cache_vision to",
        ),
        ({"min_views": 1}, {"packed": True}, r"mine\.augment\.min_views: packed samples"),
        (
            {"shuffle_views": True},
            {"losses": {"temporal": True}},
            r"mine\.augment\.shuffle_views: train\.losses\.temporal",
        ),
    ],
)
def test_random_cameras_that_do_not_go_with_the_run(train, augment, settings, message):
    arms = {"mine": {"tasks": ["depth"], "augment": augment}}
    with pytest.raises(ValueError, match=message):
        train("mine", arms=arms, **settings)
    with pytest.raises(ValueError, match=r"mine\.augment: blank images have no cameras"):
        train("mine", arms={"mine": {"blank_images": True, "augment": {"zoom": 2.0}}})


@pytest.mark.parametrize("given", [{"steps": 20}, {"steps": None, "epochs": 2.0}])
def test_arms_of_fewer_questions_take_equal_steps_or_equal_epochs(given):
    def steps(spatial: int = 0, **arm) -> int:
        arm = ArmConfig(**arm)
        data = TrainingData(
            pools=Pools(None),
            text=round(120 * arm.text_share),
            spatial=spatial,
            feature_channels=None,
            digests={},
        )
        return steps_of(arm, TrainConfig(batch_size=12, **given), data)

    assert steps() == 20
    for spatial in (0, 60):
        assert steps(spatial, text_share=0.3, equal="steps") == 20
    assert steps(text_share=0.3, equal="epochs") == 6
    assert steps(60, text_share=0.3, equal="epochs") == 12  # half of each batch is text
    alike = "steps" if given["steps"] else "epochs"
    assert steps(60, text_share=0.3) == steps(60, text_share=0.3, equal=alike)


def test_steps_and_epochs(train):
    with pytest.raises(ValueError, match="Give one"):
        train("text", epochs=1)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"warmup_ratio": 1.0}, {"max_grad_norm": 0.0}])
def test_numbers_that_mean_something_else_to_the_trainer(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=rf"train\.{name}: expected"):
        TrainConfig(**wrong)


def test_an_encoder_that_nobody_can_ask_between_steps_keeps_nothing():
    for own in ({"workers": 1}, {"sharded": True, "processes": 2}):
        with pytest.raises(ValueError, match=r"train\.cache_vision: .*workers to 0"):
            TrainConfig(cache_vision=True, **own)


def test_missing_manifests(train, job):
    with pytest.raises(ValueError, match="pass the manifests of its scenes"):
        train("text", scenes=[])
    with pytest.raises(ValueError, match="pass the manifests of its labels"):
        train("distill", labels=[])
    with pytest.raises(ValueError, match="pass the manifests of its pseudo"):
        train("semi", pseudo=[])
    with pytest.raises(ValueError, match="no such manifest"):
        train("text", scenes=[Path("nowhere.json")])


def test_scenes_without_labels(train, job):
    with pytest.raises(ValueError, match="3 of 6 scenes have no labels by exact"):
        train("distill", labels=job.labels[:1])


def test_pseudo_labels_without_their_images(train):
    with pytest.raises(ValueError, match="4 pseudo-labelled scenes have no images, such as 'other"):
        train("semi")


def test_scenes_without_questions(train, job):
    with pytest.raises(ValueError, match="its scenes have no questions"):
        train("text", scenes=job.unlabelled)
