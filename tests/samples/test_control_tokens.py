"""Texts that would act as a part of a family's chat template are refused, with their record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers.tiny import shown
from helpers.tiny_families import SAVE
from spatialsv.model.mllm import load_mllm
from spatialsv.samples.chat import Chat


@pytest.fixture(scope="module", params=sorted(SAVE))
def chat(request, tmp_path_factory):
    return Chat(load_mllm(SAVE[request.param](tmp_path_factory.mktemp(request.param)))[1])


def test_every_token_with_a_meaning_is_refused_in_a_question_and_an_answer(chat, tiny_questions):
    tokenizer, question = chat.tokenizer, tiny_questions[0]
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    placeholders = {tokenizer.decode(ids).strip() for ids in chat.processor.template_ids.values()}
    assert placeholders
    for token in special | placeholders:
        for record in (
            replace(question, text=f"Is {token} here?"),
            replace(question, answer=f"{token} B"),
            replace(question, more=((f"And {token}?", "No."),)),
        ):
            with pytest.raises(ValueError, match=f"Question {question.id!r} contains"):
                chat.check([record])


def test_what_the_template_writes_before_an_answer_is_refused(chat, tiny_questions):
    views = shown(chat.processor, 4)
    before = chat.tokenizer.decode(chat.prompt("Is it?", views).input_ids).partition("Is it?")[2]
    with pytest.raises(ValueError, match="contains"):
        chat.check([replace(tiny_questions[0], text=f"Is it?{before}B")])


def test_other_marks_are_text(chat, tiny_questions):
    texts = ("Is 2 < 3 > 1?", "<b>Which?</b>", "a | b", "[x]", "<answer>A</answer>")
    chat.check([replace(tiny_questions[0], text=text) for text in texts])
