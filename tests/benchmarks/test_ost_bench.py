"""OST-Bench by two stacks' rules: golden responses, the mean of groups, turns, files."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.ost_bench import (
    GROUPS,
    OST_BENCH,
    TASKS,
    common_subsequence,
    load,
    reported_name,
)
from spatialsv.benchmarks.score import format_summary, respond, score_items

STACKS = ("official", "vlmevalkit")
SIDES = "Agent_object_spatial-direction(Judgement1)"
HOW_FAR = "Agent_state-position(Estimation)"
HOW_MANY = "Agent_visible_info-quantity(Counting)"


def item(task: str, answer: str, options: tuple[str, ...] = ()) -> Item:
    kind = "choice" if options else "number"
    return Item(
        id="s/1", task=task, kind=kind, question="?", options=options, answer=answer, scene="s"
    )


def scores(question: Item, response: str) -> list[float | None]:
    rules = [OST_BENCH.protocols[stack] for stack in STACKS]
    return [rule.score(question, rule.parse_response(question, response)) for rule in rules]


@pytest.mark.parametrize(
    ("response", "right"),
    [
        ('{"answer": "left", "reason": "it is"}', 1),
        ("{'answer': 'left', 'reason': 'it is'}", 1),
        ('{"answer": "right", "reason": "left of it"}', 0),
        ("{answer: left, reason: it is}", 1),
        ("LEFT", 1),
        ("on the left side", 1),
        ("I have no answer and no reason for right", 1),  # nothing is cut out: the first option
        ("xyz", 1),  # it shares nothing with either: the first option
    ],
)
def test_a_choice_goes_to_the_nearest_option(response, right):
    assert scores(item(SIDES, "left", ("left", "right")), response) == [right, right]


@pytest.mark.parametrize(
    ("response", "truth", "right"),
    [
        ("3", "3", 1.0),
        (
            '{"answer": 1.05, "reason": ""}',
            "1",
            0.9,
        ),  # as binary numbers, 0.05 is not below 0.05 here
        ("1.1", "1", 0.8),
        ("3", "2", 0.0),  # 0.5 is not below 0.5
        ("-2", "-2", 1.0),
        ("3 m", "3", 0.0),
        ("three", "3", 0.0),
        ("nan", "3", 0.0),
        ("0", "0", 0.0),  # by which the authors' code divides
    ],
)
def test_an_estimate_has_a_strict_bound(response, truth, right):
    assert scores(item(HOW_FAR, truth), response) == pytest.approx([right, right])


@pytest.mark.parametrize(
    ("response", "truth", "right"),
    [
        ("3", "3", 1),
        ("three", "3", 1),
        ("There are three.", "3", 1),
        ("none", "1", 1),  # "one" is in it
        ("none", "0", 0),
        ("often", "10", 1),
        ("two or one", "1", 1),  # words are tried from zero up
        ("3.0", "3", 0),
        ("3 chairs", "3", 0),
        ("eleven", "11", 0),
    ],
)
def test_a_count_is_digits_or_the_first_word_found(response, truth, right):
    assert scores(item(HOW_MANY, truth), response) == [right, right]


def test_replies_and_turns_that_are_left_out():
    assert scores(item(HOW_MANY, "3"), "") == [None, None]
    assert scores(item(HOW_MANY, "3"), "Failed to obtain answer") == [0, None]
    assert scores(item("None", "I understand."), "3") == [None, None]
    rules = OST_BENCH.protocols["official"]
    found = rules.aggregate([(item(HOW_MANY, "3"), None), (item(HOW_MANY, "3"), 1.0)])
    assert (found.overall, found.tasks[HOW_MANY].n) == (1.0, 1)


def test_overall_is_the_mean_of_groups_of_questions_of_variants():
    parts = [SIDES.replace("1", n) for n in "123"]
    values = dict(zip(parts, (1.0, 1.0, 0.0), strict=True))
    scored = [(item(part, "left", ("left",)), value) for part, value in values.items()]
    scored += [(item("Agent_object_spatial-distance(Judgement1)", "x", ("x",)), 0.0)] * 5
    scored += [(item(HOW_MANY, "3"), 1.0)] * 4
    found = OST_BENCH.protocols["official"].aggregate(scored)
    assert found.tasks["AO(Judge)"].score == pytest.approx(1 / 3)  # the mean of 2/3 and 0
    assert found.tasks["AO(Judge)"].n == 8
    assert found.overall == pytest.approx((1 / 3 + 1) / 2)
    assert len(GROUPS) == 8 and len(TASKS) == len(set(TASKS)) == 20


@given(st.text("abc ", max_size=9), st.text("abc ", max_size=9))
def test_the_common_subsequence_is_the_textbook_one(one, other):
    @cache
    def longest(i: int, j: int) -> int:
        if i == len(one) or j == len(other):
            return 0
        if one[i] == other[j]:
            return 1 + longest(i + 1, j + 1)
        return max(longest(i + 1, j), longest(i, j + 1))

    assert common_subsequence(one, other) == longest(0, 0)


def row(turn: int, kind: str, answer: object, option: list[str] | None = None) -> dict:
    return {
        "scan_id": "1mp3d_0004_region0",
        "turn_id": turn,
        "type": kind,
        "origin_question": "Which?",
        "option": option or [],
        "answer": answer,
        "new_observations": [f"1mp3d_0004_region0/{turn}.jpg"],
        "system_prompt": "Assume you are exploring a room.",
        "user_message": "For the turn, which?",
    }


def release(folder: Path, rows: list[dict]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "OST_bench.json").write_text(json.dumps(rows))
    return folder


def test_turns_of_a_scan_and_types_by_both_of_their_names(tmp_path):
    rows = [
        row(1, "None", "I understand."),
        row(2, "AO_direction(option1)", '"left"', ["left", "right"]),
        row(3, HOW_MANY, 3),
        row(4, "A_room-size(float)", 20.5),
    ]
    items = load(release(tmp_path, rows))
    assert [i.task for i in items] == ["None", SIDES, HOW_MANY, "None"]
    assert [i.more["turn"] for i in items] == [1, 2, 3, 4]
    assert items[1].answer == "left" and items[2].answer == "3"
    assert items[1].images == ("images/1mp3d_0004_region0/2.jpg",)
    assert {reported_name(task) for task in TASKS} == set(TASKS)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (row(1, "juggling", 3), "row 0: type: expected one of .*found 'juggling'"),
        (
            row(1, SIDES, "up", ["left"]),
            "row 0: answer: expected one of the options left, found 'up'",
        ),
        (row(1, HOW_MANY, "few"), "row 0: answer: expected a finite number, found 'few'"),
    ],
)
def test_rows_that_are_not_ost_bench_s_are_refused(tmp_path, wrong, told):
    with pytest.raises(ValueError, match=told):
        load(release(tmp_path, [wrong]))


def test_the_summary_counts_what_was_skipped_by_reason():
    items = [item(HOW_MANY, "3"), replace(item("None", "", ("x",)), id="s/2", kind="text")]
    protocol = OST_BENCH.protocols["official"]
    responses = [respond(one, protocol, "3") for one in items]
    scoring = score_items("ost_bench", "official", OST_BENCH, items, responses)
    assert format_summary(scoring) == (
        "ost_bench (official): 2 questions, score 100.00 %, skipped: 1 not scored by the protocol"
    )
    assert format_summary(scoring, 5).endswith("by the protocol; 5 open conversations")
