"""Random cameras: questions stay right, samples follow from seed and epoch, limits hold."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spatialsv.losses.distill import token_mask
from spatialsv.model.mllm import load_mllm
from spatialsv.rooms.stage import ScenesConfig, run
from spatialsv.samples.augment import AugmentConfig, draw_augmentation
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import SamplesConfig, SceneDataset
from spatialsv.scenes.question import TASKS, Question, read_questions

SIZE = (24, 32)
EVERYTHING = AugmentConfig(zoom=2.0, shrink=2.0, aspect=1.2, shuffle_views=True, min_views=2)
VIEWS = (0, 2, 3, 5)


def ask(
    task: str, text: str = "How far is the lamp from the chair?", answer: str = "2"
) -> Question:
    return Question(id="q", scene="s", task=task, text=text, answer=answer, views=VIEWS)


def drawn(questions: list[Question], config: AugmentConfig = EVERYTHING, count: int = 40):
    rngs = (np.random.default_rng(seed) for seed in range(count))
    return [draw_augmentation(config, rng, VIEWS, SIZE, questions) for rng in rngs]


def full(crop) -> tuple[int, int, int, int]:
    return (0, 0, crop.size[1], crop.size[0])


def test_images_without_questions_may_be_any_part_of_the_scene():
    found = drawn([])
    assert {len(one.views) for one in found} == {2, 3, 4}
    assert any(one.views != tuple(sorted(one.views)) for one in found)
    assert all(set(one.views) <= set(VIEWS) and len(one.crops) == len(one.views) for one in found)
    crops = [crop for one in found for crop in one.crops]
    assert any(crop.source != full(crop) for crop in crops)
    assert any(crop.target != full(crop) for crop in crops)


def test_a_subset_keeps_the_order_of_views_unless_it_is_shuffled():
    for one in drawn([], replace(EVERYTHING, shuffle_views=False)):
        assert one.views == tuple(sorted(one.views))


def test_focal_lengths_stay_within_their_limits():
    for one in drawn([]):
        for crop in one.crops:
            (x, y) = (
                (crop.target[i + 2] - crop.target[i]) / (crop.source[i + 2] - crop.source[i])
                for i in (0, 1)
            )
            assert 0.45 < x < 2.2 and 0.45 < y < 2.2  # sides are whole pixels
            assert 1 / 1.3 < x / y < 1.3
            for box in (crop.source, crop.target):
                left, top, right, bottom = box
                assert 0 <= left < right <= 32 and 0 <= top < bottom <= 24


@pytest.mark.parametrize("task", TASKS)
def test_nothing_that_a_question_may_be_about_leaves_an_image(task):
    for one in drawn([ask(task)]):
        assert sorted(one.views) == list(VIEWS)
        assert all(crop.source == full(crop) for crop in one.crops or ())


@pytest.mark.parametrize(
    ("question", "shuffled", "bordered"),
    [
        (ask("abs_distance"), True, True),
        (ask("counting", "How many chairs are visible?"), True, True),
        (ask("appearance_order", "In what order do these appear?"), False, True),
        (ask("among", "What is behind the lamp?"), False, True),
        (ask("recognise_what", "What is the red thing in image 2?"), False, True),
        (ask("abs_distance", "How far is the lamp in the first image?"), False, True),
        (ask("abs_distance", answer="see Frame 3"), False, True),
        (replace(ask("counting"), more=(("And in image 1?", "3"),)), False, True),
        (ask("rel_distance", "Which is nearest to the pixel (12, 40)?"), True, False),
        (ask("relation", "What is at [0.1, 0.4]?"), False, False),
        (ask("relation", "What is in the upper left corner?"), False, False),
        (ask("relation", "Is the lamp on the left side?", "yes"), False, False),
        (ask("relation", "Is the lamp at the right of the image?", "yes"), False, False),
        (ask("relation", "In image 1, is the lamp left or right of the chair?"), False, True),
        (ask("choice", "Anything"), False, False),
        (ask("conversation", "Anything"), False, False),
    ],
)
def test_what_a_question_may_refer_to_is_left_alone(question, shuffled, bordered):
    found = drawn([question])
    assert any(one.views != VIEWS for one in found) == shuffled
    assert any(one.crops is not None for one in found) == bordered
    other = drawn([ask("abs_distance"), question])  # all questions of a sample count
    assert any(one.views != VIEWS for one in other) == shuffled


def test_only_tasks_whose_rooms_questions_name_no_view_have_no_order(rooms_questions):
    by_task = {}
    for question in rooms_questions:
        text = f"{question.text} {question.answer}".lower()
        by_task.setdefault(question.task, []).append("image" in text or "view" in text)
    free = [task for task in by_task if TASKS[task].any_order]
    assert len(free) >= 6 and not any(any(by_task[task]) for task in free)
    assert not TASKS["appearance_order"].any_order


@pytest.fixture(scope="module")
def rooms_questions(tmp_path_factory):
    out = tmp_path_factory.mktemp("rooms") / "0000.json"
    config = ScenesConfig(splits={"train": 4}, shard_size=4, questions=40)
    return read_questions(run("train", 0, config, out).find(".questions.jsonl"))


@pytest.fixture(scope="module")
def processor(tiny_mllm):
    return load_mllm(tiny_mllm)[1]


@pytest.fixture
def make(tiny_scenes, tiny_questions, tiny_labels, processor):
    def build(seed=0, **augment):
        config = SamplesConfig(augment=AugmentConfig(**augment) if augment else None)
        return SceneDataset(tiny_scenes, tiny_questions, processor, tiny_labels, config, seed=seed)

    return build


def test_samples_follow_from_seed_epoch_and_number(make):
    one, other = make(zoom=2.0), make(zoom=2.0)
    other.images_only(3, 1)  # what was read before does not matter
    first, again, later, seed = (
        data.images_only(2, epoch).target.intrinsics
        for data, epoch in ((one, 4), (other, 4), (one, 5), (make(seed=1, zoom=2.0), 4))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, later) and not torch.equal(first, seed)


def test_points_of_a_sample_lie_on_the_planes_of_its_scene(make, tiny_scenes):
    """z = a + b x in the first view's frame, of whatever camera."""
    for epoch in range(4):
        sample = make(zoom=1.6, shrink=1.6, shuffle_views=True).images_only(1, epoch)
        batch = Collate(processor=make().chat.processor)([sample])
        labels = batch.geometry
        points = labels.points[labels.valid].double().numpy()
        design = np.stack([np.ones(len(points)), points[:, 0]], axis=-1)
        (_, slope), residuals, *_ = np.linalg.lstsq(design, points[:, 2], rcond=None)
        assert residuals[0] / len(points) < 1e-10
        depth = tiny_scenes.depth[1, 0, 0].astype(float)
        pixel = (np.arange(32) + 0.5 - 16) / 32
        expected = np.polyfit(depth * pixel, depth, 1)[0]
        assert slope == pytest.approx(expected, abs=1e-4)
        assert labels.points[labels.valid].norm(dim=-1).mean() == pytest.approx(1, abs=1e-5)


def test_pixels_and_targets_change_together(make):
    plain, zoomed = make().images_only(0), make(zoom=2.0).images_only(0)
    assert plain.views.inputs["pixel_values"].shape == zoomed.views.inputs["pixel_values"].shape
    assert not torch.equal(plain.views.inputs["pixel_values"], zoomed.views.inputs["pixel_values"])
    assert (zoomed.target.intrinsics[:, 0, 0] > plain.target.intrinsics[:, 0, 0]).any()
    assert zoomed.target.depth.shape == plain.target.depth.shape


def test_borders_of_some_samples_of_a_batch_learn_no_features(make, processor):
    shrunk = [make(shrink=3.0).images_only(row) for row in (0, 1)]
    batch = Collate(processor=processor)([*shrunk, make().images_only(2)])
    mask = token_mask(batch.geometry, tuple(batch.token_index.shape[2:]))
    assert mask[2].all() and not mask[:2].all()
    assert Collate(processor=processor)([make().images_only(2)]).geometry.border is None


def test_without_a_change_samples_are_those_of_the_data(make):
    (one, other) = make(zoom=2.0).get(0, 3), make().get(0, 3)  # questions: no crops
    assert torch.equal(one.views.inputs["pixel_values"], other.views.inputs["pixel_values"])
    assert torch.equal(one.target.depth, other.target.depth)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "augment: changes nothing. Set zoom"),
        ({"aspect": 1.5}, "augment: changes nothing. Set zoom"),
        ({"zoom": 0.5}, r"augment\.zoom: expected 1 \(no change\) to 10, found 0\.5"),
        ({"shrink": 11.0}, r"augment\.shrink: expected 1"),
        ({"min_views": 0}, r"augment\.min_views: expected 1 or more, found 0"),
    ],
)
def test_settings_that_make_no_sense_are_told(settings, message):
    with pytest.raises(ValueError, match=message):
        AugmentConfig(**settings)
