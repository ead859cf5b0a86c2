"""Nobody who reads texts alone does better than chance."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest

from spatialsv.rooms.questions import balance_questions, text_only_accuracy
from spatialsv.rooms.questions.balance import BINS, DEBT, option_words
from spatialsv.scenes.question import EXTERNAL, TASKS

PAIRS = {name for name in TASKS if name.startswith(("cross_", "single_"))}  # of rooms.evidence
ROOMS = TASKS.keys() - EXTERNAL.keys() - PAIRS
SHARD = 64
Z = 3.3  # standard deviations: 15 tasks, all inside with a chance of 98.5 %


@pytest.fixture(scope="module")
def shards(many):
    return [
        balance_questions(many[i : i + SHARD], 12, np.random.default_rng(i))
        for i in range(0, len(many), SHARD)
    ]


def test_every_task_is_asked_in_every_shard(shards):
    for shard in shards:
        assert {q.task for q in shard} == ROOMS
        assert len({q.id for q in shard}) == len(shard)
        assert max(Counter(q.scene for q in shard).values()) <= 12


def test_texts_hold_the_options_and_the_answer_is_one_of_them(shards):
    for question in shards[0]:
        lines = question.text.split("\n")[1:]
        assert lines == [f"{'ABCD'[i]}. {o}" for i, o in enumerate(question.options)]
        assert bool(lines) == (question.kind == "choice")
        if lines:
            assert question.answer in "ABCD"[: len(lines)]
        else:
            float(question.answer)


def test_letters_are_dealt_evenly(shards):
    for shard in shards:
        dealt = defaultdict(Counter)
        for question in shard:
            if question.options:
                dealt[question.task, len(question.options)][question.answer] += 1
        for (_, options), letters in dealt.items():
            counts = [letters["ABCD"[i]] for i in range(options)]
            assert max(counts) - min(counts) <= 1


def test_no_word_is_right_more_often_than_its_share(shards):
    for shard in shards:
        debts = defaultdict(float)
        for question in shard:
            right = "ABCD".find(question.answer) if question.options else bin_of(question)
            options = question.options or tuple(map(str, range(len(BINS[question.task]) + 1)))
            for place, option in enumerate(options):
                for word in option_words(option):
                    debts[question.task, word] += (place == right) - 1 / len(options)
        assert max(map(abs, debts.values())) <= DEBT + 1e-6


def bin_of(question) -> int:
    return bisect_right(BINS[question.task], float(question.answer))


def test_the_same_seed_gives_the_same_questions(many):
    first, second = (balance_questions(many[:16], 6, np.random.default_rng(1)) for _ in range(2))
    assert first == second


def test_a_text_only_cheater_stays_at_chance(shards):
    train = [q for shard in shards[:6] for q in shard]
    test = [q for shard in shards[6:] for q in shard]
    scores = text_only_accuracy(train, test)
    assert scores.keys() == ROOMS
    for task, score in scores.items():
        low, high = score.interval(Z)
        assert low <= score.chance <= high, f"{task}: {score.accuracy:.3f}, not {score.chance:.3f}"


def test_the_cheater_finds_a_leak(many):
    """Unbalanced: the answer is the option that comes last in the alphabet, two times in three."""
    rng = np.random.default_rng(0)
    questions = []
    for scene in many:
        for i, one in enumerate(c for c in scene if c.task == "rel_distance"):
            answer = max(one.options) if rng.uniform() < 0.67 else one.answer
            order = rng.permutation(len(one.options)).tolist()
            questions.append(replace(one, answer=answer).question(str(i), order))
    half = len(questions) // 2
    score = text_only_accuracy(questions[:half], questions[half:])["rel_distance"]
    assert score.interval(Z)[0] > score.chance + 0.1


def test_the_cheater_reads_numbers(many):
    """Unbalanced counts: one chair is by far the commonest answer, and it says so."""
    questions = [c.question(c.stem, []) for s in many for c in s if c.task == "counting"]
    half = len(questions) // 2
    score = text_only_accuracy(questions[:half], questions[half:])["counting"]
    assert score.accuracy > 0.8 and score.chance > 0.8
