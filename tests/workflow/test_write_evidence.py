"""The record of the evidence run: gates, differences, controls, causal conclusions."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from spatialsv.rooms.evidence.gates import CLASSIFIERS, SHORTCUTS, WITH_TURN
from write_evidence import evidence

TASKS = ("cross_side", "cross_nearer", "cross_facing", "cross_apart")


@pytest.fixture
def data(tmp_path):
    """The tables of a run that passes all gates."""
    shares = dict.fromkeys(CLASSIFIERS, 0.5) | dict.fromkeys((*WITH_TURN, *SHORTCUTS), 0.6)
    shares |= {"true_geometry": 1.0}
    shortcuts = [
        {"task": task, "shortcut": name, "n": 400, "accuracy": share}
        for task in TASKS
        for name, share in shares.items()
    ]
    scores = [{"arm": "base", "task": "recognition", "mean": 0.98}]
    scores += [{"arm": "no_image", "task": task, "mean": 0.51} for task in TASKS]
    arms = [
        ("labels_256", "text_256", "text_256", None),
        ("labels_256", "geometry_256", "text_256", 0.12),
        ("labels_256", "shuffled_256", "text_256", -0.01),
        ("labels_64", "geometry_64", "text_64", 0.03),
    ]
    numbers = ("low", "high", "p", "p_holm")
    rows = [
        {"table": table, "arm": arm, "against": against, "difference": value, "seeds": 5}
        | {name: None if value is None else value + i / 100 for i, name in enumerate(numbers)}
        for table, arm, against, value in arms
    ]
    curves = [
        {"method": method, "arm": f"{name}_{count}", "labels": count}
        for method, name in (("first", "geometry"), ("second", "text"))
        for count in (64, 256)
    ]
    readers = [
        {"arm": "geometry_256", "seed": seed, "reader": reader, "conclusion": conclusion}
        for seed, conclusion in enumerate(("used", "used", "unused"))
        for reader in ("0", "heads")
    ]
    efficiency = [
        {"curve": "labels", "log2_ratio": 1.5, "low": 0.5, "high": 2.0, "is_bound": False}
    ]
    for stage, tables in {
        "analysis": {"shortcuts": shortcuts, "scores": scores, "causal_readers": readers},
        "ablations": {
            "ablation_arms": rows,
            "label_curves": curves,
            "label_efficiency": efficiency,
        },
    }.items():
        (tmp_path / stage).mkdir()
        (tmp_path / stage / "manifest.json").write_text("{}")
        for name, table in tables.items():
            pd.DataFrame(table).to_csv(tmp_path / stage / f"{name}.csv", index=False)
    return tmp_path


def change(data, table: str, column: str, value: float, **where: str) -> None:
    path = data / table
    rows = pd.read_csv(path)
    chosen = pd.concat([rows[name] == text for name, text in where.items()], axis=1).all(axis=1)
    rows.loc[chosen, column] = value
    rows.to_csv(path, index=False)


def test_all_parts_are_recorded(data):
    record = evidence(data)
    json.dumps(record, allow_nan=False)
    assert record["failed"] == []
    assert record["gates"]["without_geometry"] == dict.fromkeys(TASKS, 50.0)
    assert record["gates"]["with_turn"] == dict.fromkeys(WITH_TURN, 60.0)
    assert record["gates"]["recognition"] == 98.0 and record["gates"]["no_image"] == 51.0
    assert set(record["difference"]) == {"64", "256"}
    found = record["difference"]["256"]
    assert (found["points"], found["interval"], found["against"]) == (
        12.0,
        [12.0, 13.0],
        "text_256",
    )
    assert record["controls"]["shuffled_256"]["points"] == -1.0
    assert record["label_efficiency"][0]["log2_ratio"] == 1.5
    assert record["causal"] == {"geometry_256": {"used": 2, "unused": 1}}
    assert set(record["digests"]) == {"analysis", "ablations"}


@pytest.mark.parametrize(
    ("table", "column", "value", "where", "message"),
    [
        ("analysis/scores.csv", "mean", 0.9, {"arm": "base"}, "recognises 90.0 %"),
        ("analysis/scores.csv", "mean", 0.6, {"arm": "no_image"}, "without images answers 60.0 %"),
        ("analysis/shortcuts.csv", "accuracy", 0.7, {"shortcut": "tree"}, "tree without geometry"),
        ("analysis/shortcuts.csv", "accuracy", 0.9, {"shortcut": "true_geometry"}, "true geometry"),
    ],
)
def test_failed_gates_are_named(data, table, column, value, where, message):
    change(data, table, column, value, **where)
    assert any(message in sentence for sentence in evidence(data)["failed"])


def test_a_missing_table_says_what_to_run(data):
    (data / "ablations/label_curves.csv").unlink()
    with pytest.raises(SystemExit, match=r"label_curves\.csv: missing\. Run `snakemake"):
        evidence(data)
