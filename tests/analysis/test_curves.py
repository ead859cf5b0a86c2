import json

import pytest

from spatialsv.analysis.curves import read_log
from spatialsv.analysis.tables import loss_by_step, scores_by_arm, write_tables


def test_terms_are_read_and_settings_are_not(tmp_path):
    lines = [
        {"step": 1, "loss": 2.0, "learning_rate": 0.1, "losses": {"depth": 1.5}},
        {"step": 2, "loss": 1.0, "losses": {"depth": float("nan")}},
        {"train_runtime": 3.0},
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_log(log) == [
        {"step": 1, "term": "loss", "value": 2.0},
        {"step": 1, "term": "depth", "value": 1.5},
        {"step": 2, "term": "loss", "value": 1.0},
    ]


def test_a_broken_log_is_named(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"st')
    with pytest.raises(ValueError, match=r"log.jsonl:2: not JSON"):
        read_log(tmp_path / "log.jsonl")


def test_scores_have_a_row_per_arm():
    scores = [
        {"arm": "text", "task": "spatial", "mean": 0.5},
        {"arm": "text", "task": "among", "mean": 0.25},
        {"arm": "random", "task": "spatial", "mean": 0.25},
    ]
    assert scores_by_arm(scores) == "arm,spatial,among\ntext,0.5,0.25\nrandom,0.25,\n"


def test_losses_have_a_row_per_step_and_blanks_where_an_arm_has_none():
    points = {"half": [(1, 0.9), (2, 0.8)], "text": [(1, 0.7), (3, 0.6)]}
    curves = [
        {"arm": arm, "term": "text", "step": step, "value": value}
        for arm, curve in points.items()
        for step, value in curve
    ]
    assert loss_by_step(curves) == "step,half,text\n1,0.9,0.7\n2,0.8,\n3,,0.6\n"
    assert loss_by_step([]) == "step\n"


def test_columns_without_documentation_are_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"'curves': the columns \['unit'\]"):
        row = {"arm": "text", "step": 1, "term": "text", "value": 1.0, "unit": "nat"}
        write_tables(tmp_path, {"curves": [row]})
    with pytest.raises(ValueError, match="no schema for the tables"):
        write_tables(tmp_path, {"unknown": []})
