"""Two runs compared: what is between them is what was put there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from spatialsv.cli import main
from spatialsv.evaluate.compare import compare_runs
from spatialsv.evaluate.replies import Reply, write_replies
from spatialsv.stats.comparison import compare

BLANK = Reply(
    id="",
    scene="",
    task="around",
    kind="choice",
    spatial=True,
    prompt="?",
    options=2,
    answer="A",
    reply="A",
    extracted="A",
    score=0.0,
    key="",
)


def run(path: Path, right: np.ndarray, task: str = "around") -> Path:
    """Questions of one scene each, answered rightly or not."""
    write_replies(
        path,
        [
            replace(BLANK, id=f"{task}{i}", scene=f"s{i}", task=task, score=float(score))
            for i, score in enumerate(right)
        ],
    )
    return path


def test_a_difference_is_found_with_mcnemar_s_p(tmp_path):
    rng = np.random.default_rng(0)
    first = rng.random(400) < 0.7
    second = np.where(rng.random(400) < 0.2, rng.random(400) < 0.4, first)
    found = compare_runs([run(tmp_path / "a.jsonl", first)], [run(tmp_path / "b.jsonl", second)])
    row = found["around"]
    assert row["difference"] == pytest.approx(first.mean() - second.mean())
    assert row["first"] == pytest.approx(first.mean()) and row["n"] == row["scenes"] == 400
    only = int((first & ~second).sum()), int((second & ~first).sum())
    exact = binomtest(only[0], sum(only), 0.5).pvalue  # one question a scene: McNemar's case
    assert row["p"] == pytest.approx(exact, abs=0.01)
    assert row["interval"][0] < row["difference"] < row["interval"][1]
    assert found["spatial"]["difference"] == row["difference"] and "recognition" not in found


def test_equal_runs_are_not_told_apart(tmp_path):
    right = np.arange(50) % 2 == 0
    found = compare_runs([run(tmp_path / "a.jsonl", right)], [run(tmp_path / "b.jsonl", right)])
    assert found["around"]["p_holm"] == 1 and not found["around"]["significant"]


def test_no_difference_is_called_significant_as_often_as_the_level_says():
    rng, calls = np.random.default_rng(1), 0
    for _ in range(200):
        pair = []
        for scores in rng.random((2, 60)) < 0.5:
            run = [replace(BLANK, id=str(i), scene=str(i // 3)) for i in range(60)]
            scored = [replace(r, score=float(s)) for r, s in zip(run, scores, strict=True)]
            pair.append([reply.scored() for reply in scored])
        calls += compare(*pair, resamples=50).p < 0.05
    assert 0 < calls <= 21  # 10 expected; 21 or fewer with probability 0.9996


def test_runs_on_other_questions_are_refused(tmp_path, capsys):
    right = np.ones(3, bool)
    paths = run(tmp_path / "a.jsonl", right), run(tmp_path / "b.jsonl", right, "rotation")
    with pytest.raises(ValueError, match="3 questions only of the first, 3 only of the second"):
        compare_runs(paths[:1], paths[1:])
    assert main(["compare", str(paths[0]), str(tmp_path / "nothing.jsonl")]) == 2
    assert "nothing.jsonl: no such replies" in capsys.readouterr().err


def test_the_command_line_prints_a_table_and_writes_json(tmp_path, capsys):
    first = run(tmp_path / "a.jsonl", np.ones(20, bool))
    second = run(tmp_path / "b.jsonl", np.arange(20) < 5)
    assert main(["compare", str(first), str(second), "--json", str(tmp_path / "out.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("around") and "+75.0" in lines[1] and "significant" in lines[1]
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["spatial"]["difference"] == pytest.approx(0.75)
