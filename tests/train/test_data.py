"""What an arm learns from: its own stores, in two pools."""

import pytest

from spatialsv.model.mllm import load_mllm
from spatialsv.train import TrainConfig
from spatialsv.train.data import load_data


@pytest.fixture
def load(job, tiny_mllm):
    processor = load_mllm(tiny_mllm)[1]

    def load(name, scenes=job.scenes, **arms):
        config = TrainConfig(arms=arms)
        inputs = (scenes, job.labels, job.pseudo)
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


def test_an_arm_without_text_sees_its_labelled_scenes(load):
    data = load("depth", depth={"text": False, "tasks": ["depth"]})
    assert (data.text, data.spatial, data.feature_channels) == (0, 6, None)
    batch = next(iter(data.sampler(TrainConfig(batch_size=4), 1, 0)))
    assert all(bool((data.pools[draw].tokens.labels == -100).all()) for draw in batch)


def test_a_blind_arm_sees_grey(load):
    pools = load("blind").pools
    first, last = (pools.text.get(0, i).views.inputs["pixel_values"] for i in (0, 17))
    assert first.equal(last)
