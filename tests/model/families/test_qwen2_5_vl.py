import json

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from spatialsv.model.families.qwen2_5_vl import load_mllm, part_of, visual_states
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.samples.batch import Batch


def test_a_marker_in_one_patch_is_found_at_its_place_in_its_view(loaded, make_batch, images):
    """Windows and merging reorder patches inside the encoder; what comes out must be in order."""
    model = SpatialSV(loaded[0])
    questions = ["Where?", "Which object is left?"]
    before = model.visual_states(make_batch(images, questions), [0])[0]
    for sample, view, row, column in [(0, 0, 0, 0), (0, 1, 2, 1), (1, 2, 1, 3), (1, 0, 2, 2)]:
        marked = images.copy()
        patch = (slice(16 * row, 16 * row + 16), slice(16 * column, 16 * column + 16))
        marked[(sample, view, *patch)] = 255 - marked[(sample, view, *patch)]
        after = model.visual_states(make_batch(marked, questions), [0])[0]
        change = (after - before).norm(dim=-1)  # (B, N, h, w)
        assert change.shape == (2, 3, 3, 4)
        place = np.unravel_index(int(change.argmax()), change.shape)
        assert tuple(map(int, place)) == (sample, view, row, column)


@pytest.mark.parametrize("tap", [0, 1, 4])
def test_padding_on_either_side_gives_the_same_states(loaded, make_batch, images, tap):
    model, questions = SpatialSV(loaded[0]), ["Where?", "Which object is left of the red chair?"]
    right, left = (
        model.visual_states(make_batch(images, questions, side), [tap])[0]
        for side in ("right", "left")
    )
    assert_close(right, left, rtol=1e-4, atol=1e-5)


def test_selected_states_are_those_of_the_full_list(loaded, make_batch, images):
    model = SpatialSV(loaded[0])
    batch = make_batch(images, ["Where?", "What?"])
    full = model.mllm(**batch.model_inputs(), output_hidden_states=True).hidden_states
    is_image = batch.input_ids == model.mllm.config.image_token_id
    for index, states in zip([3, 0, 4], model.visual_states(batch, [3, 0, 4]), strict=True):
        assert torch.equal(states.flatten(0, 3), full[index][is_image])


def test_the_last_state_is_after_the_final_norm(loaded, make_batch, images):
    model = SpatialSV(loaded[0])
    batch = make_batch(images, ["Where?", "What?"])
    hidden = model.mllm.model(**batch.model_inputs()).last_hidden_state
    is_image = batch.input_ids == model.mllm.config.image_token_id
    assert torch.equal(model.visual_states(batch, [4])[0].flatten(0, 3), hidden[is_image])


def test_samples_of_different_shapes_are_refused(loaded, make_batch, images):
    model = SpatialSV(loaded[0])
    unequal = [list(images[0]), list(images[1][:2])]
    with pytest.raises(ValueError, match="equally many"):
        model.visual_states(make_batch(unequal, ["Where?", "What?"]), [0])
    mixed = [[images[0, 0], images[0, 1, :32, :32]]]
    with pytest.raises(ValueError, match="images of one size"):
        model.visual_states(make_batch(mixed, ["Where?"]), [0])


def test_truncated_image_tokens_are_noticed(loaded, make_batch, images):
    batch = make_batch(images, ["Where?", "What?"])
    ids = batch.input_ids[:, :30]
    with pytest.raises(ValueError, match="were the tokens truncated"):
        visual_states([ids[..., None].float()], ids, batch.image_grid_thw, batch.num_views, 262, 2)


def test_every_parameter_belongs_to_one_part(loaded):
    parts = {name: part_of(name) for name, _ in loaded[0].named_parameters()}
    assert set(parts.values()) == {"vision", "projector", "llm"}
    assert parts["model.visual.patch_embed.proj.weight"] == "vision"
    assert parts["model.visual.merger.mlp.0.weight"] == "projector"
    assert parts["model.language_model.embed_tokens.weight"] == "llm"
    assert part_of("lm_head.weight") == "llm"


def test_the_processor_is_saved_as_other_tools_read_it(loaded, tmp_path, images, make_batch):
    model, processor = loaded
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert settings["image_processor_type"] == "Qwen2VLImageProcessor"
    assert (tmp_path / "chat_template.jinja").is_file()
    again, processor = load_mllm(tmp_path)
    batch = make_batch(images, ["Where?", "What?"])
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Hm"}]}]
    text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    inputs = processor(text=[text], images=[images[0, 0]], return_tensors="pt")
    assert isinstance(Batch(**inputs, num_views=(1,)), Batch)
    assert torch.equal(again(**batch.model_inputs()).logits, model(**batch.model_inputs()).logits)


def test_the_model_generates_through_its_processor(loaded, make_batch, images):
    model, _ = loaded
    inputs = make_batch(images, ["Where?", "Which one?"], side="left").model_inputs()
    assert model.generate(**inputs, max_new_tokens=2).shape[0] == 2


def test_a_missing_checkpoint_says_what_to_give(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder; give a checkpoint's folder"):
        load_mllm(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load_mllm("data/train/absent")
    with pytest.raises(FileNotFoundError, match="this is no checkpoint"):
        load_mllm(tmp_path)
