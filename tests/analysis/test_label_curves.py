"""Label curves: accuracies by number of labels, their ratio, and how both are shown."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.finished_run import scored_response
from spatialsv.analysis.label_curves import CurveConfig, label_curves
from spatialsv.config import from_mapping
from spatialsv.report.targets import ablation_figures, ablation_tables
from spatialsv.report.texts import texts
from spatialsv.stats.summary import QuestionScore

CURVE = {"first": {"a_64": 64, "a_256": 256}, "second": {"b_64": 64, "b_256": 256}}


def run_of(accuracy, task="cross_side", scenes=40):
    """Four questions about each scene, of which exactly this share is answered correctly."""
    found = {}
    for i in range(4 * scenes):
        score = QuestionScore(
            id=f"{task}-{i}",
            scene=f"s{i // 4}",
            task=task,
            kind="choice",
            spatial=True,
            score=float(i % 4 < 4 * accuracy),
        )
        found[score.id] = scored_response(score, prompt="?", options=2, answer="A", response="A")
    return found


@pytest.fixture
def runs():
    accuracies = {"a_64": 0.5, "a_256": 0.75, "b_64": 0.25, "b_256": 0.5}
    return {
        arm: [run_of(accuracy) | run_of(1.0, "single_side")] * 2
        for arm, accuracy in accuracies.items()
    }


def test_the_first_method_needs_a_quarter_of_the_labels(runs):
    curve = from_mapping(CurveConfig, CURVE | {"tasks": ["cross_side"]}, "curve")
    tables = label_curves("labels", curve, runs, 50, 0)
    found = {(row["method"], row["labels"]): row for row in tables["label_curves"]}
    assert found["first", 64]["mean"] == 0.5 and found["second", 64]["mean"] == 0.25
    assert found["first", 256]["n"] == 160 and found["first", 256]["seeds"] == 2
    (row,) = tables["label_efficiency"]
    assert row["log2_ratio"] == pytest.approx(2.0, abs=0.01) and not row["is_bound"]
    assert np.isclose([row["low"], row["high"]], 2.0, atol=0.01).all()


def test_all_spatial_questions_count_unless_tasks_are_given(runs):
    tables = label_curves("labels", from_mapping(CurveConfig, CURVE, "curve"), runs, 10, 0)
    (row, *_) = tables["label_curves"]
    assert row["n"] == 320 and row["mean"] == 0.75


def test_curves_are_shown_as_a_table_and_a_figure(runs):
    curve = from_mapping(CurveConfig, CURVE | {"tasks": ["cross_side"]}, "curve")
    tables = label_curves("labels", curve, runs, 10, 0)
    tables |= {"ablation_arms": [], "ablation_scores": [], "quality_by_arm": []}
    (words,) = ablation_tables(tables)
    assert words.rows[0] == ("64", "50.0 ± 0.0 (a_64)", "25.0 ± 0.0 (b_64)")
    assert "need 2^2.0 times fewer labels" in words.note
    figures = ablation_figures(tables)
    assert {name.partition("_")[0] for name in figures} <= set(texts()["captions"])
    figure = figures["labels_labels"]
    first, second = (line.get_ydata() for line in figure.axes[0].get_lines()[:2])
    assert list(first) == [0.5, 0.75] and list(second) == [0.25, 0.5]


def test_errors_name_the_setting(runs):
    with pytest.raises(ValueError, match=r"ablations.curves: first has labels \[64\]"):
        from_mapping(CurveConfig, CURVE | {"first": {"a_64": 64}}, "curve")
    with pytest.raises(ValueError, match=r"ablations.curves.x: arms not evaluated: c"):
        label_curves(
            "x", CurveConfig(first={"c": 1, "a_64": 2}, second=CURVE["second"]), runs, 5, 0
        )
    with pytest.raises(ValueError, match=r"ablations.curves.x.tasks: no question is of rotation"):
        label_curves(
            "x", from_mapping(CurveConfig, CURVE | {"tasks": ["rotation"]}, ""), runs, 5, 0
        )
