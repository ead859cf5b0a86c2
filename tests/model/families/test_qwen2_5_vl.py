import json

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from spatialsv.model.mllm import load_mllm
from spatialsv.model.spatialsv import SpatialSV


@pytest.mark.parametrize("tap", [0, 1, 4])
def test_padding_on_either_side_gives_the_same_states(loaded, make_batch, images, tap):
    model, questions = SpatialSV(*loaded), ["Where?", "Which object is left of the red chair?"]
    right, left = (
        model.visual_states(make_batch(images, questions, side), [tap])[0]
        for side in ("right", "left")
    )
    assert_close(right, left, rtol=1e-4, atol=1e-5)


def test_selected_states_are_those_of_the_full_list(loaded, make_batch, images):
    model = SpatialSV(*loaded)
    batch = make_batch(images, ["Where?", "What?"])
    full = model.mllm(**batch.model_inputs(), output_hidden_states=True).hidden_states
    is_image = batch.input_ids == model.mllm.config.image_token_id
    for index, states in zip([3, 0, 4], model.visual_states(batch, [3, 0, 4]), strict=True):
        assert torch.equal(states.flatten(0, 3), full[index][is_image])


def test_the_last_state_is_after_the_final_norm(loaded, make_batch, images):
    model = SpatialSV(*loaded)
    batch = make_batch(images, ["Where?", "What?"])
    hidden = model.mllm.model(**batch.model_inputs()).last_hidden_state
    is_image = batch.input_ids == model.mllm.config.image_token_id
    assert torch.equal(model.visual_states(batch, [4])[0].flatten(0, 3), hidden[is_image])


def test_a_video_slot_takes_each_moment_from_a_frame_of_its_own(loaded, images):
    """What Qwen's own video processor does: patch values over two frames, not one frame twice."""
    family = loaded[1]
    shown = family.prepare(list(images[0]), "video")  # three frames: the last fills two moments
    alone = [family.prepare([frame], "image").inputs["pixel_values"] for frame in images[0]]
    assert shown.inputs["video_grid_thw"].tolist() == [[2, 6, 8]]
    slots = shown.inputs["pixel_values_videos"].view(2, 48, 3, 2, 64)
    for slot, moment, frame in [(0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 2)]:
        assert torch.equal(slots[slot, :, :, moment], alone[frame].view(48, 3, 2, 64)[:, :, moment])
    assert torch.equal(shown.grids[0], shown.grids[1])  # merged: both frames are the same tokens
    assert not np.intersect1d(shown.grids[0], shown.grids[2]).size


def test_frames_of_different_sizes_are_no_video(loaded, images):
    with pytest.raises(ValueError, match="must have the same number of patches"):
        loaded[1].prepare([images[0, 0], images[0, 1, :32, :32]], "video")


def test_the_processor_is_saved_as_other_tools_read_it(loaded, tmp_path, images, make_batch):
    model, family = loaded
    model.save_pretrained(tmp_path)
    family.save_processor(tmp_path)
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert settings["image_processor_type"] == "Qwen2VLImageProcessor"
    assert (tmp_path / "chat_template.jinja").is_file()
    again, _ = load_mllm(tmp_path)
    batch = make_batch(images, ["Where?", "What?"])
    assert torch.equal(again(**batch.model_inputs()).logits, model(**batch.model_inputs()).logits)
