"""Chats hold the right tokens, and score the answers only."""

import pytest
import torch

from helpers.tiny import shown
from spatialsv.model.mllm import load_mllm
from spatialsv.samples.chat import IGNORED, Chat


@pytest.fixture(scope="module")
def chat(tiny_mllm):
    return Chat(load_mllm(tiny_mllm)[1])


def visual(chat):
    return torch.tensor(list(chat.processor.visual_tokens))


def scored(chat, tokens):
    kept = tokens.labels[tokens.labels != IGNORED]
    return chat.tokenizer.decode(kept)


def test_a_chat_is_the_templates_text_with_each_placeholder_repeated(chat, tiny_questions):
    question = tiny_questions[0]
    tokens = chat.with_answers([question], shown(chat.processor, 4, 2))
    visual = "<|vision_start|>" + "{}" + "<|vision_end|>"
    expected = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        + visual.format("<|image_pad|>" * 4)
        + visual.format("<|image_pad|>" * 2)
        + f"{question.text}<|im_end|>\n<|im_start|>assistant\n{question.answer}<|im_end|>\n"
    )
    assert chat.tokenizer.decode(tokens.input_ids) == expected
    assert tokens.input_ids.tolist() == chat.tokenizer(expected)["input_ids"]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_only_the_answers_and_their_end_tokens_are_scored(chat, tiny_questions, count):
    questions = tiny_questions[:count]
    tokens = chat.with_answers(questions, shown(chat.processor, 4, 4))
    assert scored(chat, tokens) == "".join(f"{q.answer}<|im_end|>" for q in questions)
    where = tokens.labels != IGNORED
    assert torch.equal(tokens.labels[where], tokens.input_ids[where])


def test_images_come_once_however_many_turns_follow(chat, tiny_questions):
    tokens = chat.with_answers(tiny_questions[:3], shown(chat.processor, 4, 4))
    assert int(torch.isin(tokens.input_ids, visual(chat)).sum()) == 8


def test_a_prompt_is_the_beginning_of_the_answered_chat(chat, tiny_questions):
    question = tiny_questions[2]
    prompt = chat.prompt(question.text, shown(chat.processor, 4, 4))
    answered = chat.with_answers([question], shown(chat.processor, 4, 4))
    assert torch.equal(prompt.input_ids, answered.input_ids[: len(prompt)])
    assert int((answered.labels[: len(prompt)] != IGNORED).sum()) == 0
    assert answered.labels[len(prompt)] != IGNORED


def test_a_conversation_keeps_the_order_of_images_and_words(chat):
    image = {"type": "image"}
    content = [{"type": "text", "text": "Here"}, image, {"type": "text", "text": "there"}, image]
    said = [{"role": "system", "content": [{"type": "text", "text": "Be brief."}]}]
    said.append({"role": "user", "content": content})
    tokens = chat.from_messages(said, shown(chat.processor, 1, 2))
    one, two = (f"<|vision_start|>{'<|image_pad|>' * n}<|vision_end|>" for n in (1, 2))
    assert chat.tokenizer.decode(tokens.input_ids) == (
        f"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHere{one}there{two}"
        "<|im_end|>\n<|im_start|>assistant\n"
    )


def test_images_alone_match_the_chat_up_to_the_last_visual_token(chat, tiny_questions):
    alone = chat.images_only(shown(chat.processor, 4, 4))
    answered = chat.with_answers(tiny_questions[:1], shown(chat.processor, 4, 4))
    end = int(torch.isin(alone.input_ids, visual(chat)).nonzero().max()) + 1
    assert torch.equal(alone.input_ids[:end], answered.input_ids[:end])
    assert bool((alone.labels == IGNORED).all())


def test_a_single_question_is_tokenized_once(chat, tiny_questions):
    assert chat.with_answers(tiny_questions[:1], shown(chat.processor, 4)) is chat.with_answers(
        tiny_questions[:1], shown(chat.processor, 4)
    )


def test_a_question_that_contains_the_placeholder_is_refused(chat):
    with pytest.raises(ValueError, match="Expected 1 image placeholders in the chat, found 2"):
        chat.prompt("what is <|image_pad|>?", shown(chat.processor, 4))
