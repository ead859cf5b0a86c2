import pytest

from spatialsv.benchmarks.rooms import ROOMS, item_from_question
from spatialsv.evaluate.baselines import FrequencyBaseline, RandomBaseline
from spatialsv.scenes.question import Question


def question(task, answer, options=()):
    return item_from_question(
        Question(id="q", scene="s", task=task, text="?", answer=answer, options=options, views=(0,))
    )


PROTOCOL = ROOMS.protocols["official"]


TRAIN = [
    *(question("rotation", letter, ("x", "y", "z")) for letter in "CBBCA"),
    *(question("counting", answer) for answer in ("2", "2", "4")),
]


def test_random_choice_is_one_over_the_options():
    _, expected = RandomBaseline.fit(TRAIN, PROTOCOL).answer(
        question("rotation", "A", ("x", "y", "z", "w"))
    )
    assert expected == 0.25


def test_random_number_is_the_mean_over_training_answers():
    _, expected = RandomBaseline.fit(TRAIN, PROTOCOL).answer(question("counting", "4"))
    assert expected == pytest.approx((0.1 + 0.1 + 1.0) / 3)


def test_frequency_takes_the_commonest_letter_and_the_first_of_a_tie():
    baseline = FrequencyBaseline.fit(TRAIN, PROTOCOL)
    assert baseline.answer(question("rotation", "B", ("x", "y", "z"))) == ("B", 1.0)
    assert baseline.answer(question("rotation", "C", ("x", "y", "z"))) == ("B", 0.0)
    reply, expected = baseline.answer(question("counting", "2"))
    assert 2 <= float(reply) <= 2.1 and expected == 1.0  # beyond 2.1 or below 2, one truth loses


def test_of_a_choice_never_trained_any_option_is_taken():
    item = question("among", "A", ("x", "y", "z", "w"))
    assert FrequencyBaseline.fit(TRAIN, PROTOCOL).answer(item) == ("any option", 0.25)


def test_a_number_never_trained_is_an_error():
    with pytest.raises(ValueError, match="no training answers of task 'room_size'"):
        FrequencyBaseline.fit(TRAIN, PROTOCOL).answer(question("room_size", "12"))
