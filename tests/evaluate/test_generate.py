import pytest
import torch

from spatialsv.evaluate.generate import Images, Prompt, generate
from spatialsv.model.families.qwen2_5_vl import load_mllm
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
    chat, found = Chat(processor.tokenizer), []
    for scene, views in ((0, (0, 1)), (1, (0, 1)), (2, (1,)), (3, (1, 0))):
        pictures = [tiny_scenes.image[scene, view] for view in views]
        values = processor.image_processor(images=pictures, return_tensors="pt")
        images = Images(**values)
        tokens = (images.image_grid_thw.prod(-1) // 4).tolist()
        found += [
            Prompt(tokens=chat.prompt(text, tokens).input_ids, images=images) for text in QUESTIONS
        ]
    return found


class Numbers:
    """Stands in for the tokenizer: random bytes would not survive their decoding to text."""

    def decode(self, tokens, skip_special_tokens):
        return " ".join(map(str, tokens))


def replies(mllm, prompts, batch_size, max_new_tokens=6):
    found = dict(generate(mllm[0], Numbers(), prompts, max_new_tokens, batch_size))
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
            mm_token_type_ids=(ids == model.config.image_token_id).int(),
            pixel_values=prompt.images.pixel_values,
            image_grid_thw=prompt.images.image_grid_thw,
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
    with pytest.raises(ValueError, match="names no eos_token_id"):
        next(generate(model, processor.tokenizer, prompts, 4, 4))
