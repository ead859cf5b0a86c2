from copy import copy

import pytest
import torch

from spatialsv.evaluate.generate import Prompt, generate
from spatialsv.model.mllm import load_mllm
from spatialsv.samples.chat import Chat

QUESTIONS = (
    "Which is left?\nA. lamp\nB. table",
    "How many chairs are there?",
    "Stand at the lamp and look at the sofa: where is the ball? " * 3 + "\nA. left\nB. right",
    "Why?",
)


@pytest.fixture(scope="module")
def mllm(tiny_mllm):
    """The tiny model with large, untied weights: small tied ones repeat the last token for ever."""
    model, processor = load_mllm(tiny_mllm)
    generator = torch.Generator().manual_seed(0)
    for layer in model.model.language_model.layers:
        for weight in layer.parameters():
            if weight.ndim == 2:
                weight.data.normal_(0, 0.5, generator=generator)
    model.lm_head.weight = torch.nn.Parameter(
        torch.randn(model.lm_head.weight.shape, generator=generator)
    )
    return model, processor


@pytest.fixture(scope="module")
def prompts(mllm, tiny_scenes):
    """Four questions for each of four sets of images; one set shows one view only."""
    _, processor = mllm
    chat, found = Chat(processor), []
    for scene, chosen in ((0, (0, 1)), (1, (0, 1)), (2, (1,)), (3, (1, 0))):
        views = processor.prepare([tiny_scenes.image[scene, view] for view in chosen], "image")
        found += [
            Prompt(tokens=chat.prompt(text, views).input_ids, views=views) for text in QUESTIONS
        ]
    return found


class Numbers:
    """Stands in for the tokenizer: random bytes would not survive their decoding to text."""

    def decode(self, tokens, skip_special_tokens):
        return " ".join(map(str, tokens))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_weights_stop_the_generation_and_are_named(tiny_mllm, prompts, value):
    model, family = load_mllm(tiny_mllm)
    name = "model.language_model.layers.1.mlp.down_proj.weight"
    model.get_parameter(name).data[0, 0] = value
    with pytest.raises(ValueError, match=f"logits of token 0 .* NaN or infinite.*weight {name}"):
        list(generate(model, family, prompts, 3, 4))


def test_values_that_overflow_are_said_to(tiny_mllm, prompts):
    model, family = load_mllm(tiny_mllm)
    model.model.language_model.norm.weight.data.fill_(3e38)
    with pytest.raises(ValueError, match=r"All its weights are finite, so torch.float32 overflows"):
        list(generate(model, family, prompts, 3, 4))


def replies(mllm, prompts, batch_size, max_new_tokens=6):
    model, family = mllm[0], copy(mllm[1])
    family.tokenizer = Numbers()
    found = dict(generate(model, family, prompts, max_new_tokens, batch_size))
    assert sorted(found) == list(range(len(prompts)))
    return [found[index] for index in range(len(prompts))]


def test_replies_are_those_of_transformers_generate(mllm, prompts):
    model, _ = mllm
    stops = model.generation_config.eos_token_id
    expected = []
    for prompt in prompts:
        ids = prompt.tokens[None]
        output = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            **mllm[1].batch_inputs([prompt.views], ids),
            max_new_tokens=6,
            do_sample=False,
        )
        new = [token for token in output[0, len(ids[0]) :].tolist() if token != stops]
        expected.append(" ".join(map(str, new)))
    assert replies(mllm, prompts, 5) == expected
    assert len(set(expected)) > 4  # the images and questions matter, or the test shows nothing


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 64])
def test_replies_do_not_depend_on_the_batch_size(mllm, prompts, batch_size):
    assert replies(mllm, prompts, batch_size) == replies(mllm, prompts, 4)


def test_replies_stop_at_the_end_token(mllm, prompts, monkeypatch):
    whole = replies(mllm, prompts, 8)
    stop = int(whole[0].split()[2])
    monkeypatch.setattr(mllm[0].generation_config, "eos_token_id", [stop])
    stopped = replies(mllm, prompts, 8)
    for long, short in zip(whole, stopped, strict=True):
        expected = long.split()
        cut = expected.index(str(stop)) if str(stop) in expected else len(expected)
        assert short.split() == expected[:cut]


def test_a_model_that_cannot_stop_is_refused(mllm, prompts, monkeypatch):
    model, processor = mllm
    monkeypatch.setattr(model.generation_config, "eos_token_id", None)
    with pytest.raises(ValueError, match="has no eos_token_id"):
        next(generate(model, processor, prompts, 4, 4))
