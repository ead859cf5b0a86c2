from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close
from transformers import Qwen2_5_VLForConditionalGeneration

from spatialsv.losses.text import text_loss
from spatialsv.model.heads import SpatialHeads
from spatialsv.model.mllm import use_linear_patch_embedding
from spatialsv.model.spatialsv import SpatialSV, load_spatialsv, save_spatialsv

QUESTIONS = ["Where?", "Which object is left?"]


@pytest.fixture
def batch(make_batch, images):
    """With labels: the last five tokens of each sample are its answer."""
    batch = make_batch(images, QUESTIONS)
    labels = torch.full_like(batch.input_ids, -100)
    for row, length in enumerate(batch.attention_mask.sum(dim=1).tolist()):
        labels[row, length - 5 : length] = batch.input_ids[row, length - 5 : length]
    return replace(batch, labels=labels)


def test_without_heads_it_is_exactly_the_mllm(loaded, batch):
    plain = replace(batch, labels=None)
    output = SpatialSV(*loaded)(plain)
    assert torch.equal(output.logits, loaded[0](**batch.model_inputs()).logits)
    assert output.lifted is None
    assert output.distilled is None


def test_heads_leave_the_answers_alone(loaded, heads, batch):
    plain = replace(batch, labels=None)
    output = SpatialSV(*loaded, heads)(plain)
    assert torch.equal(output.logits, loaded[0](**batch.model_inputs()).logits)
    assert output.lifted.points.shape == (2, 3, 12, 16, 3)
    assert output.distilled.shape == (2, 3, 3, 4, 6)


def test_text_loss_on_scored_positions_is_the_mllms_own(loaded, batch):
    output = SpatialSV(*loaded)(batch)
    assert output.logits.shape[1] < batch.input_ids.shape[1]
    own = loaded[0](**batch.model_inputs(), labels=batch.labels).loss
    assert_close(text_loss(output.logits, output.targets), own)


def test_a_spatial_only_sample_has_geometry_and_nothing_to_say(loaded, heads, batch):
    silent = replace(batch, labels=torch.full_like(batch.labels, -100))
    output = SpatialSV(*loaded, heads)(silent)
    assert output.logits.shape[1] == 0
    loss = text_loss(output.logits, output.targets)
    assert loss == 0
    (loss + output.lifted.depth.mean()).backward()
    assert next(heads.parameters()).grad is not None


def test_geometry_does_not_see_the_question(loaded, heads, make_batch, images):
    """Images come first in a causal model, so a sample without text teaches the same states."""
    model = SpatialSV(*loaded, heads)
    first, second = (model(make_batch(images, [q, q])).lifted for q in QUESTIONS)
    assert_close(first.depth, second.depth, rtol=1e-4, atol=1e-5)


def test_samples_with_fewer_views_lift_as_they_do_alone(loaded, heads, make_batch, images):
    model = SpatialSV(*loaded, heads)
    both = model(make_batch([list(images[0]), list(images[1][:2])], QUESTIONS)).lifted.depth
    alone = model(make_batch([list(images[1][:2])], QUESTIONS[1:])).lifted.depth
    assert both.shape == (2, 3, 12, 16)
    assert_close(both[1:, :2], alone, rtol=1e-4, atol=1e-5)


def test_every_head_parameter_learns_from_all_signals(loaded, heads, batch):
    output = SpatialSV(*loaded, heads)(batch)
    sum(value.sum() for value in vars(output.lifted).values()).backward(retain_graph=True)
    output.distilled.sum().backward()
    assert all(p.grad is not None for p in heads.parameters())


@pytest.mark.parametrize("tasks", [(), ("depth",)])
def test_distillation_can_be_the_only_signal(loaded, heads, batch, tasks):
    some = SpatialHeads(replace(heads.config, tasks=tasks), hidden_size=32)
    output = SpatialSV(*loaded, some)(batch)
    assert (output.lifted is None) == (tasks == ())
    assert output.distilled.shape == (2, 3, 3, 4, 6)


def test_relations_need_no_head(loaded, heads, batch, tmp_path):
    config = replace(heads.config, tasks=(), feature_channels=None, relation=2)
    model = SpatialSV(*loaded, SpatialHeads(config, hidden_size=32))
    output = model(batch)
    (states,) = model.visual_states(batch, [2])
    assert_close(output.related, states)
    assert output.lifted is None and output.distilled is None
    save_spatialsv(tmp_path, model)
    assert torch.equal(load_spatialsv(tmp_path)(batch).related, output.related)


def test_gradient_checkpointing_gives_the_same_gradients(loaded, tiny_mllm, heads, batch):
    gradients = []
    for checkpointing in (False, True):
        mllm = Qwen2_5_VLForConditionalGeneration.from_pretrained(tiny_mllm)
        if checkpointing:
            mllm.activation_checkpointing_enable()
        model = SpatialSV(mllm, loaded[1], heads).train()
        model(batch).lifted.depth.log().mean().backward()
        weight = mllm.model.language_model.layers[0].mlp.up_proj.weight
        gradients.append(weight.grad.clone())
    assert gradients[0].abs().max() > 0
    assert_close(*gradients)


def test_wrong_taps_and_widths_are_refused(loaded, heads):
    with pytest.raises(ValueError, match="Tap 9 does not exist"):
        SpatialSV(*loaded, SpatialHeads(replace(heads.config, taps=(1, 2, 3, 9)), hidden_size=32))
    with pytest.raises(ValueError, match="width 64, but the MLLM's width is 32"):
        SpatialSV(*loaded, SpatialHeads(heads.config, hidden_size=64))


def test_saved_models_come_back_the_same(loaded, heads, batch, tmp_path):
    model = SpatialSV(*loaded, heads)
    save_spatialsv(tmp_path, model)
    again = load_spatialsv(tmp_path)
    expected, found = model(batch), again(batch)
    assert torch.equal(found.logits, expected.logits)
    assert torch.equal(found.lifted.points, expected.lifted.points)
    save_spatialsv(tmp_path, SpatialSV(*loaded))  # the heads of before must go
    assert load_spatialsv(tmp_path).heads is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mllm"]


def test_the_saved_mllm_is_a_plain_checkpoint(loaded, heads, batch, tmp_path):
    save_spatialsv(tmp_path, SpatialSV(*loaded, heads))
    plain = Qwen2_5_VLForConditionalGeneration.from_pretrained(tmp_path / "mllm").eval()
    inputs = batch.model_inputs()
    expected = loaded[0](**inputs).logits
    assert_close(plain(**inputs).logits, expected)
    use_linear_patch_embedding(plain)  # as it is read by `load_mllm`
    assert torch.equal(plain(**inputs).logits, expected)
