import numpy as np
import pytest
from numpy.testing import assert_allclose

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.rooms import item_from_question, parse, parse_choice, parse_number, score
from spatialsv.scenes.question import Question
from spatialsv.stats.accuracy import mean_relative_accuracy


def choice(answer="B", options=("chair", "lamp", "sofa")) -> Item:
    return item_from_question(
        Question(
            id="q", scene="s", task="rotation", text="?", answer=answer, options=options, views=(0,)
        )
    )


def number(answer) -> Item:
    return item_from_question(
        Question(id="q", scene="s", task="abs_distance", text="?", answer=answer, views=(0,))
    )


@pytest.mark.parametrize("reply", ["B", "b", "B.", " B", "B. lamp", "B\nbecause", "B...", "\tb. x"])
def test_replies_that_say_b(reply):
    assert parse_choice(reply, 3) == "B"


@pytest.mark.parametrize(
    "reply", ["", "  ", "D", "(B)", "B)", "B,", "The answer is B", "<answer>B</answer>", "BB", "2"]
)
def test_replies_that_say_nothing(reply):
    assert parse_choice(reply, 3) is None


@pytest.mark.parametrize(
    ("reply", "value"),
    [("3", 3), ("3 chairs", 3), ("2.5.", 2.5), (" .5", 0.5), ("-1", -1), ("1e2", 100), ("3.\n", 3)],
)
def test_numbers(reply, value):
    assert parse_number(reply) == value


@pytest.mark.parametrize(
    "reply", ["3m", "~3", "three", "3,", "nan", "inf", "1_000", "", "1e999", "٣"]
)
def test_not_numbers(reply):
    assert parse_number(reply) is None


@pytest.mark.parametrize(
    ("predicted", "truth", "expected"),
    [
        # values of the official VSI-Bench code
        (3, 2, 0.1), (1.05, 1, 1.0), (1.1, 1, 0.9), (10.5, 10, 1.0), (6, 4, 0.1), (0, 3, 0.0),
        # both sides of a tolerance, symmetric errors, exact answers
        (1.0500001, 1, 0.9), (0.95, 1, 1.0), (0.9, 1, 0.9), (2.1, 2, 1.0), (7, 7, 1.0), (2, 4, 0.1),
        # a truth of zero: the error itself
        (0, 0, 1.0), (0.05, 0, 1.0), (0.3, 0, 0.5), (1, 0, 0.0),
    ],
)  # fmt: skip
def test_mean_relative_accuracy(predicted, truth, expected):
    found = mean_relative_accuracy(np.array(float(predicted)), np.array(float(truth)))
    assert_allclose(found, expected, atol=1e-12)


def test_mra_is_a_ratio_so_units_do_not_matter():
    rng = np.random.default_rng(0)
    truth = rng.integers(1, 300, size=500) / 10
    predicted = truth * (1 + rng.integers(-60, 60, size=500) / 100)  # many exactly on a tolerance
    assert_allclose(
        mean_relative_accuracy(100 * predicted, 100 * truth),
        mean_relative_accuracy(predicted, truth),
    )


def test_scores():
    assert score(choice(), parse(choice(), "B")) == 1.0
    assert score(choice(), parse(choice(), "A")) == 0.0
    assert score(choice(), parse(choice(), "maybe B")) == 0.0
    assert score(number("2"), parse(number("2"), "3")) == pytest.approx(0.1)
    assert score(number("2"), parse(number("2"), "two")) == 0.0
