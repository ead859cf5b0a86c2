"""Gates fire on unbalanced and on leaking questions, and pass after counter-balancing."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.view_pairs import render_pairs
from spatialsv.rooms.evidence import (
    counterbalance,
    cross_view_candidates,
    failed_gates,
    gates,
)
from spatialsv.rooms.evidence.classifiers import CLASSIFIERS, features, out_of_fold_logits


@pytest.fixture(scope="module")
def chosen(pairs, candidates):
    return counterbalance(candidates, pairs, 0)


def test_selected_questions_have_equally_frequent_answers(pairs, candidates, chosen) -> None:
    assert (chosen.groupby("task")["answer"].mean() == 0.5).all()
    assert chosen.groupby(["task", "room"]).size().max() <= 4
    assert chosen.equals(counterbalance(candidates, pairs, 0))
    keys = ["task", "room", "view", "a", "b", "c"]
    assert len(chosen.merge(candidates, on=keys)) == len(chosen)


def test_gates_fire_before_and_pass_after_counterbalancing(pairs, candidates, chosen) -> None:
    before = candidates[candidates.groupby(["task", "room"]).cumcount() < 4]
    failures = failed_gates(gates(before.reset_index(drop=True), pairs, 1))
    assert any("mlp without geometry" in failure for failure in failures)
    assert any("mean_pose answers" in failure for failure in failures)
    table = gates(chosen, pairs, 1)
    assert failed_gates(table) == []
    assert (table["questions"] == chosen["task"].value_counts().sort_index()).all()


def test_gates_find_a_leak_and_wrong_answers(pairs, chosen) -> None:
    room, a = chosen["room"].to_numpy(), chosen["a"].to_numpy()
    leak = pairs.box[room, :, a, 0].sum(axis=1)
    leaking = chosen.assign(answer=leak > np.median(leak))
    table = gates(leaking, pairs, 1)
    assert (table["tree"][table["questions"] > 200] > 85).all()  # fewer are hard to learn from
    assert (table["true_geometry"] < 75).all()
    failures = failed_gates(table)
    assert sum("tree without geometry" in failure for failure in failures) >= 3
    assert sum("true geometry answers" in failure for failure in failures) == 4


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_never_saw_the_room_that_they_judge(name, chosen) -> None:
    rng = np.random.default_rng(0)
    rows = chosen[chosen["task"] == "cross_nearer"].reset_index(drop=True)
    rows["answer"] = rng.random(rows["room"].max() + 1)[rows["room"]] > 0.5
    inputs = rng.normal(size=(rows["room"].max() + 1, 24))[rows["room"]]  # tells rooms apart
    logits = out_of_fold_logits(name, rows, inputs.astype(np.float32), 0)
    assert abs(((logits > 0) == rows["answer"]).mean() - 0.5) < 0.15  # 1.0 if folds shared rooms


def test_features_hold_nothing_of_other_objects(pairs, chosen) -> None:
    one = chosen[chosen["task"] == "cross_side"].reset_index(drop=True)
    inputs = features(one, pairs)
    assert np.isfinite(inputs).all() and len(np.unique(inputs[:, -1])) == 2
    assert (inputs[:, 12:36] == 0).all()  # b and c of a form with one object
    assert (inputs[:, :12] != 0).any(axis=1).all()


@pytest.mark.long
def test_gates_pass_at_training_size() -> None:
    pairs = render_pairs(range(1000, 4000))
    chosen = counterbalance(cross_view_candidates(pairs, 0), pairs, 0)
    table = gates(chosen, pairs, 1)
    assert (table["questions"] >= 1000).all()
    assert failed_gates(table) == []
