"""Two runs compared: what is between them is what was put there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from scipy.stats import binomtest

from helpers.manifests import edit_manifest
from spatialsv.benchmarks.responses import Response, write_responses
from spatialsv.benchmarks.score import score
from spatialsv.cli import main
from spatialsv.evaluate.compare import CompareConfig, compare_runs
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.stats.comparison import compare_scores
from spatialsv.stats.means import Mean, Table

BLANK = Response(
    id="",
    scene="",
    task="around",
    kind="choice",
    spatial=True,
    prompt="?",
    options=2,
    answer="A",
    response="A",
    prediction="A",
    score=0.0,
    key="",
)


def run(path: Path, right: np.ndarray, task: str = "around") -> Path:
    """Questions of one scene each, answered rightly or not."""
    write_responses(
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
    assert row["mcnemar"] == pytest.approx(exact)
    assert row["interval"][0] < row["difference"] < row["interval"][1]
    assert found["spatial"]["difference"] == row["difference"] and "recognition" not in found


def test_equal_runs_are_not_told_apart(tmp_path):
    right = np.arange(50) % 2 == 0
    found = compare_runs([run(tmp_path / "a.jsonl", right)], [run(tmp_path / "b.jsonl", right)])
    assert found["around"]["p_holm"] == 1 and not found["around"]["significant"]


def test_no_difference_is_called_significant_as_often_as_the_level_says():
    rng, calls = np.random.default_rng(1), 0
    scenes = tuple(i // 3 for i in range(60))
    for _ in range(200):
        sides = [[Mean(tuple(side.tolist()), scenes)] for side in 1.0 * (rng.random((2, 60)) < 0.5)]
        calls += compare_scores(*sides, resamples=50).p < 0.05
    assert 0 < calls <= 21  # 10 expected; 21 or fewer with probability 0.9996


def test_runs_on_other_questions_are_refused(tmp_path, capsys):
    right = np.ones(3, bool)
    paths = run(tmp_path / "a.jsonl", right), run(tmp_path / "b.jsonl", right, "rotation")
    with pytest.raises(ValueError, match="3 only in the first, 3 only in the second"):
        compare_runs(paths[:1], paths[1:])
    assert main(["compare", str(paths[0]), str(tmp_path / "nothing.jsonl")]) == 2
    assert "nothing.jsonl: no such file or folder" in capsys.readouterr().err


def test_the_command_line_prints_a_table_and_writes_json(tmp_path, capsys):
    first = run(tmp_path / "a.jsonl", np.ones(20, bool))
    second = run(tmp_path / "b.jsonl", np.arange(20) < 5)
    assert main(["compare", str(first), str(second), "--json", str(tmp_path / "out.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("around") and "+75.0" in lines[1] and "significant" in lines[1]
    last = f"compare: 3 comparisons, 3 significant at 5 % (Holm); saved to {tmp_path / 'out.json'}"
    assert lines[-1] == last
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["spatial"]["difference"] == pytest.approx(0.75)


TASKS = {"object_counting": "3", "route_planning": "B", "object_rel_direction_easy": "A"}
SCENES = 24


def release(folder: Path) -> Path:
    """Two questions of each task about each of SCENES scenes."""
    rows = [
        {
            "id": f"{task}-{scene}-{number}",
            "dataset": "scannet",
            "scene_name": f"scene{scene}",
            "question_type": task,
            "question": "?",
            "ground_truth": truth,
            "options": None if truth == "3" else ["A. left", "B. right"],
        }
        for scene in range(SCENES)
        for task, truth in TASKS.items()
        for number in range(2)
    ]
    folder.mkdir()
    parquet.write_table(pa.Table.from_pylist(rows), folder / "test.parquet")
    return folder


def asked(
    folder: Path, share: float, seed: int = 0, protocol: str = "official", name: str = "vsi_bench"
) -> Path:
    """A run that answers rightly with chance `share`, as `spatialsv evaluate` leaves it."""
    rng = np.random.default_rng(seed)
    lines = [
        {"id": f"{task}-{scene}-{number}", "response": truth, "key": f"{seed} {share} {task}"}
        | ({} if rng.random() < share else {"response": "Z"})
        for scene in range(SCENES)
        for task, truth in TASKS.items()
        for number in range(2)
    ]
    folder.mkdir()
    (folder / "responses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    manifest = Manifest(
        stage="evaluate",
        payload={"responses.jsonl": digest_path(folder / "responses.jsonl")},
        counts={},
        config={},
        about={"benchmark": name, "protocol": protocol},
    )
    write_manifest(folder / "manifest.json", manifest)
    return folder


def test_runs_of_a_benchmark_are_compared_by_its_scorer_s_average(tmp_path):
    data = release(tmp_path / "data")
    runs = [asked(tmp_path / "a", 0.8), asked(tmp_path / "b", 0.5, seed=1)]
    found = compare_runs(runs[:1], runs[1:], CompareConfig(data=data))
    scores = [score("vsi_bench", data, run / "responses.jsonl").scores for run in runs]
    assert list(found) == [*scores[0].tasks, "overall"]
    overall = found["overall"]
    assert overall["first"] == pytest.approx(scores[0].overall)
    assert overall["difference"] == pytest.approx(scores[0].overall - scores[1].overall)
    assert overall["p_holm"] == overall["p"] < 0.05 and overall["significant"]
    assert overall["interval"][0] < overall["difference"] < overall["interval"][1]
    assert overall["mcnemar"] is None and found["route_planning"]["mcnemar"] < 0.05
    sheet = Table([scores[0].tree, scores[1].tree])
    pulls = sheet.influence(scores[0].tree) - sheet.influence(scores[1].tree)
    error = np.sqrt(SCENES / (SCENES - 1) * (pulls**2).sum())
    assert overall["minimum_detectable_difference"] == pytest.approx(2.80159 * error, rel=1e-4)
    parts = [found[task]["p_holm"] >= found[task]["p"] for task in scores[0].tasks]
    assert all(parts) and overall["scenes"] == SCENES


def test_bare_replies_are_compared_once_their_benchmark_is_named(tmp_path, capsys):
    data, paths = str(release(tmp_path / "data")), []
    for name, share in (("a", 0.9), ("b", 0.2)):
        paths.append(tmp_path / f"{name}.jsonl")
        (asked(tmp_path / name, share) / "responses.jsonl").rename(paths[-1])
    line = ["compare", *map(str, paths), "--benchmark", "vsi_bench", "--data", data]
    assert main(line) == 0
    last = capsys.readouterr().out.splitlines()[-3]
    assert last.startswith("overall") and last.endswith("  significant")
    assert main(line[:3]) == 2
    assert "Name the benchmark of the responses by --benchmark" in capsys.readouterr().err
    run = asked(tmp_path / "run", 0.5, protocol="lmms_eval")  # whose scorer the bare ones take
    assert main(["compare", str(run), *line[2:]]) == 0
    assert main([*line, "--protocol", "chess"]) == 2
    assert "unknown protocol 'chess'" in capsys.readouterr().err


def test_what_cannot_be_compared_is_refused(tmp_path):
    data = release(tmp_path / "data")
    one = asked(tmp_path / "one", 0.5)
    other_protocol = asked(tmp_path / "scorer", 0.5, 1, protocol="lmms_eval")
    other = asked(tmp_path / "other", 0.5, 1, name="vsi_bench_mc")
    rooms = run(tmp_path / "rooms.jsonl", np.ones(3, bool))
    config = CompareConfig(data=data)
    for second, told in (
        (other_protocol, "their protocol is official in the first, lmms_eval in the second"),
        (other, "their benchmark is vsi_bench in the first, vsi_bench_mc in the second"),
        (rooms, "their benchmark is vsi_bench in the first, rooms in the second"),
    ):
        with pytest.raises(ValueError, match=told):
            compare_runs([one], [second], config)
    with pytest.raises(ValueError, match="one: give --data, the folder of the files of vsi_bench"):
        compare_runs([one], [one])
    with pytest.raises(ValueError, match="its benchmark is vsi_bench, not mindcube"):
        compare_runs([one], [one], CompareConfig(data=data, benchmark="mindcube"))
    by_name = CompareConfig(
        data=data, protocol="lmms_eval"
    )  # both read again by one scorer's rules
    assert "overall" in compare_runs([one], [other_protocol], by_name)
    lines = (one / "responses.jsonl").read_text().splitlines()
    (one / "responses.jsonl").write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(ValueError, match=r"responses\.jsonl: its content is not what .* lists"):
        compare_runs([one], [one], config)
    names = read_manifest(one / "manifest.json").payload
    edit_manifest(one / "manifest.json", payload={name: digest_path(one / name) for name in names})
    with pytest.raises(ValueError, match="1 missing of 144 ids"):
        compare_runs([one], [one], config)


def test_seeds_are_told_apart_from_answers(tmp_path, capsys):
    """As much between two models as before, but their seeds differ by more: no difference shown."""
    data = release(tmp_path / "data")
    shares = {"a": (0.95, 0.55, 0.8), "b": (0.4, 0.85, 0.5)}
    sides = [
        [asked(tmp_path / f"{name}{n}", share, n) for n, share in enumerate(each)]
        for name, each in shares.items()
    ]
    found = compare_runs(*sides, CompareConfig(data=data))["overall"]
    overall = [
        [score("vsi_bench", data, run / "responses.jsonl").scores.overall for run in side]
        for side in sides
    ]
    assert found["first"] == pytest.approx(np.mean(overall[0]))
    assert found["first_seeds"]["deviation"] == pytest.approx(np.std(overall[0], ddof=1))
    assert (found["first_seeds"]["n"], found["mcnemar"]) == (3, None)
    assert found["interval"][0] < 0 < found["interval"][1] and not found["significant"]
    alone = compare_runs(sides[0][:1], sides[1][:1], CompareConfig(data=data))["overall"]
    assert alone["significant"] and alone["interval"][0] > 0
    line = ["compare", *map(str, sides[0]), "--against", *map(str, sides[1]), "--data", str(data)]
    assert main(line) == 0
    assert "means over 3 and 3 seeds" in capsys.readouterr().out
    assert main(["compare", *map(str, sides[0])]) == 2
    assert (
        "3 runs given: give two, or those of the second model with --against"
        in capsys.readouterr().err
    )


def test_a_seed_that_is_given_twice_is_refused(tmp_path):
    data, run = release(tmp_path / "data"), asked(tmp_path / "a", 0.5)
    with pytest.raises(ValueError, match="one model with the same settings"):
        compare_runs([run, run], [run], CompareConfig(data=data))


def test_seeds_are_read_as_leniently_as_a_run_alone(tmp_path):
    data, runs = release(tmp_path / "data"), [asked(tmp_path / name, 0.5) for name in "abcd"]
    for seed, place in enumerate(runs):
        (place / "manifest.json").unlink()
        path, text = place / "responses.jsonl", "\ufeff"  # as some editors begin a file
        for line in map(json.loads, path.read_text().splitlines()):
            line |= {"key": str(seed), "response": "A\u2028"}
            text += json.dumps(line, ensure_ascii=False) + "\n\n"
        path.write_text(text)
    bare = [place / "responses.jsonl" for place in runs]
    found = compare_runs(bare[:2], bare[2:], CompareConfig(data=data, benchmark="vsi_bench"))
    assert found["overall"]["difference"] == 0


def test_seeds_of_rooms_are_compared_as_well(tmp_path):
    rng = np.random.default_rng(3)
    sides = [
        [run(tmp_path / f"{name}{seed}.jsonl", rng.random(60) < share) for seed in range(3)]
        for name, share in (("a", 0.9), ("b", 0.3))
    ]
    found = compare_runs(*sides)
    assert found["around"]["first_seeds"]["n"] == 3 and found["spatial"]["significant"]
