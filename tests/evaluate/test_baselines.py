import pytest

from spatialsv.evaluate.baselines import FrequencyBaseline, RandomBaseline
from spatialsv.scenes.question import Question


def ask(task, answer, options=()):
    return Question(
        id="q", scene="s", task=task, text="?", answer=answer, options=options, views=(0,)
    )


TRAIN = [
    *(ask("rotation", letter, ("x", "y", "z")) for letter in "CBBCA"),
    *(ask("counting", answer) for answer in ("2", "2", "4")),
]


def test_random_choice_is_one_over_the_options():
    _, expected = RandomBaseline.fit(TRAIN).answer(ask("rotation", "A", ("x", "y", "z", "w")))
    assert expected == 0.25


def test_random_number_is_the_mean_over_training_answers():
    _, expected = RandomBaseline.fit(TRAIN).answer(ask("counting", "4"))
    assert expected == pytest.approx((0.1 + 0.1 + 1.0) / 3)


def test_frequency_takes_the_commonest_letter_and_the_first_of_a_tie():
    baseline = FrequencyBaseline.fit(TRAIN)
    assert baseline.answer(ask("rotation", "B", ("x", "y", "z"))) == ("B", 1.0)
    assert baseline.answer(ask("rotation", "C", ("x", "y", "z"))) == ("B", 0.0)
    reply, expected = baseline.answer(ask("counting", "2"))
    assert 2 <= float(reply) <= 2.1 and expected == 1.0  # beyond 2.1 or below 2, one truth loses


def test_of_a_choice_never_trained_any_option_is_taken():
    asked = ask("among", "A", ("x", "y", "z", "w"))
    assert FrequencyBaseline.fit(TRAIN).answer(asked) == ("any option", 0.25)


def test_a_number_never_trained_is_an_error():
    with pytest.raises(ValueError, match="no training question of task 'room_size'"):
        FrequencyBaseline.fit(TRAIN).answer(ask("room_size", "12"))
