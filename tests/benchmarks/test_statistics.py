"""What stands beside a score: intervals by scene, by the protocol's own average; chance; blind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from numpy.testing import assert_allclose

from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, ScoredItems, Scores, micro
from spatialsv.benchmarks.catalogue import NAMES, find_benchmark
from spatialsv.benchmarks.chance import count_options, frequency_scores, random_scores
from spatialsv.benchmarks.score import Scoring, format_scores, respond, score, score_items
from spatialsv.benchmarks.vsi_bench import COUNTS, NUMBERS
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.stats.means import Table, draw_weights

PROTOCOLS = [(name, stack) for name in NAMES for stack in find_benchmark(name).protocols]
OF_ONE_SCENE = {  # what this benchmark's items are called and asked, several a scene
    "3dsrbench": [
        (task, {"qid": f"@{flip}{turn}"})
        for task in ("height_higher",)
        for flip, turn in product(("", "-flip"), ("", "-1"))
    ],
    "mmbench": [("identity", {"ability": "b"})] * 2,
    "all_angles": [("counting", {"twin": "@1"}), ("counting", {"twin": "@0"})],
    "cv_bench": [
        ("Count", {"source": "ADE20K"}),
        ("Relation", {"source": "COCO"}),
        ("Depth", {"source": "Omni3D"}),
    ],
    "site_bench": [
        ("counting & existence", {"options": "two"}),
        ("3d information understanding", {"options": "five"}),
    ],
    "embspatial_bench": [("close", {"source": "mp3d"}), ("far", {"source": "scannet"})],
    "ost_bench": [
        ("Agent_visible_info-existence(Judgement)", {}),
        ("Agent_visible_info-quantity(Counting)", {}),
        ("None", {}),
    ],
}
TASKS = {"spar_bench": ["depth_prediction_oc", "view_change_infer", "position_matching"]}
TASKS |= {"mindcube": ["rotation", "among", "translation"], "vsi_bench": list(COUNTS)}


def protocol_of(name: str, stack: str) -> Protocol:
    return find_benchmark(name).protocols[stack]


def items_of(name: str, scene: str) -> list[Item]:
    """All questions about one scene, by the names that the benchmark's average goes by."""
    tasks = TASKS.get(name, TASKS.get(name.rsplit("_", 1)[0], ["one", "two"]))
    found = []
    for number, (task, more) in enumerate(OF_ONE_SCENE.get(name, [(task, {}) for task in tasks])):
        named = {key: value.replace("@", scene) for key, value in more.items()}
        found.append(
            Item(
                id=scene if name == "mmbench" and not number else f"{scene}{number}",
                task=task,
                kind="choice",
                question="?",
                options=("?",) * {"two": 2, "five": 5}.get(named.get("options", ""), 0),
                answer="A",
                scene=scene,
                more=named,
            )
        )
    return found


def answered(name: str, scenes: Mapping[str, np.ndarray], times: Mapping[str, int]) -> ScoredItems:
    """Each scene's items, scored, as often as `times` says; copies are scenes of their own."""
    pairs = []
    for scene, values in scenes.items():
        for copy in range(times[scene]):
            items = items_of(name, f"{scene}{'x' * copy}")
            pairs += zip(items, values[: len(items)].tolist(), strict=True)
    return [(item, None if item.task == "None" else value) for item, value in pairs]


@pytest.mark.parametrize(("name", "stack"), PROTOCOLS)
def test_resampled_scores_are_what_the_scorer_s_average_says_of_resampled_scenes(name, stack):
    rng = np.random.default_rng(0)
    scenes = {f"s{n:02d}": rng.integers(0, 2, size=12).astype(float) for n in range(15)}
    average = protocol_of(name, stack).aggregate
    found = average(answered(name, scenes, dict.fromkeys(scenes, 1)))
    sheet = Table([*found.tasks.values(), found.tree])
    assert set(sheet.order) == set(scenes)
    weights = np.concatenate(list(draw_weights(len(scenes), 20, 0)))
    means = sheet.means(weights)
    for row, drawn in enumerate(weights):
        times = {scene: int(count) for scene, count in zip(sheet.order, drawn, strict=True)}
        again = average(answered(name, scenes, times))
        assert list(again.tasks) == list(found.tasks)
        for task, tree in found.tasks.items():
            assert_allclose(sheet.value(tree, means)[row], again.tasks[task].score, rtol=1e-12)
        assert_allclose(sheet.value(found.tree, means)[row], again.overall, rtol=1e-12)


CHOICES = {"A": "red door", "B": "blue wall", "C": "tall lamp"}


@pytest.mark.parametrize(("name", "stack"), PROTOCOLS)
def test_a_plain_answer_is_read_by_every_scorer_so_that_chance_can_be_scored(name, stack):
    rules, options = protocol_of(name, stack), tuple(f"{k}. {v}" for k, v in CHOICES.items())
    task, kind, answer = "one", "choice", "B"
    if name == "ost_bench":
        task, options, answer = "Agent_visible_info-existence(Judgement)", ("Yes", "No"), "No"
    if name in ("sqa3d", "scanqa", "spatial457"):
        kind, options, answer = "text", (), "chair"
    item = Item(
        id="0",
        task=task,
        kind=kind,
        question="?",
        options=options,
        answer=answer,
        scene="s",
        more={"choices": CHOICES, "answers": (answer,), "source": "COCO"},
    )
    assert rules.score(item, rules.parse_response(item, answer)) == 1
    other = {"B": "A", "No": "Yes", "chair": "table"}[answer]
    assert rules.score(item, rules.parse_response(item, other)) == 0


def choice(number: int, answer: str, options: int = 4, task: str = "t", **more: str) -> Item:
    return Item(
        id=str(number),
        task=task,
        kind="choice",
        question="?",
        options=tuple(f"{letter}. x{letter}" for letter in "ABCDEF"[:options]),
        answer=answer,
        scene=more.pop("scene", f"s{number}"),
        more={"choices": {letter: f"x{letter}" for letter in "ABCDEF"[:options]}} | more,
    )


VSI = find_benchmark("vsi_bench").protocols["official"]


def test_chance_of_choices():
    items = [choice(0, "A"), choice(1, "B"), choice(2, "B"), choice(3, "A", 2, "u")]
    rules = replace(VSI, aggregate=micro())
    assert random_scores(items, rules).tasks["t"].score == 0.25
    assert random_scores(items, rules).overall == pytest.approx((3 / 4 + 1 / 2) / 4)
    told = frequency_scores(items, rules)
    assert told.tasks["t"].score == pytest.approx(2 / 3) and told.tasks["u"].score == 1


def test_chance_where_several_must_be_right_at_once():
    """Four turns of one question: at random (1/4)^4, and one letter is never right in all."""
    turns = ("", "-1", "-2", "-3")
    items = [
        replace(choice(n, letter, task="height_higher", qid=f"Q{turn}"), scene="Q")
        for n, (turn, letter) in enumerate(zip(turns, "ABCD", strict=True))
    ]
    for stack, expected in (("official", 1 / 256), ("lmms_eval", 1 / 4)):
        rules = protocol_of("3dsrbench", stack)
        assert random_scores(items, rules).overall == pytest.approx(expected)
        assert frequency_scores(items, rules).overall == {"official": 0, "lmms_eval": 0.25}[stack]


def test_chance_of_pairs_of_which_one_is_right():
    items = [choice(n, "AB"[n], 3, "counting", twin=str(1 - n), scene="s") for n in range(2)]
    told = random_scores(items, protocol_of("all_angles", "official")).tasks
    shares = [told[f"pairs: {name} right"].score for name in ("none", "one", "both")]
    assert shares == pytest.approx([4 / 9, 4 / 9, 1 / 9])


def test_numbers_have_no_random_answer_and_the_constant_that_fits_best():
    truths = ("2", "2", "2", "4", "4.4", "4.8", "4.2")
    items = [
        Item(id=str(n), task=NUMBERS[1], kind="number", question="A. m?", answer=truth, scene="s")
        for n, truth in enumerate(truths)
    ]
    assert np.isnan(random_scores(items, VSI).overall)
    best = max(
        np.mean([VSI.score(item, constant) for item in items]) for constant in np.arange(1, 6, 0.01)
    )
    commonest = np.mean([VSI.score(item, 2.0) for item in items])
    assert frequency_scores(items, VSI).overall == pytest.approx(best) and best > commonest + 0.05


@pytest.mark.parametrize(
    ("question", "count"),
    [
        ("Where? A. left B. right C. behind", 3),  # MindCube's
        ("Options: A: left, B: right, C: up, D: down", 4),  # MMSI-Bench's
        ("Is Room A. lit?", 1),
        ("Where is it?", None),
        ("B. left C. right", None),
    ],
)
def test_options_that_stand_in_the_question_are_counted(question, count):
    assert count_options(replace(choice(0, "A"), options=(), question=question)) == count


def test_to_leave_scenes_out_would_put_frequency_below_random():
    """Why it is found on the test itself: of balanced answers, those of other scenes are rarer."""
    answers = list("AB" * 20)
    right = 0
    for left_out, answer in enumerate(answers):
        others = Counter(a for n, a in enumerate(answers) if n != left_out)
        right += answer == max(others, key=others.__getitem__)
    items = [choice(n, answer, 2) for n, answer in enumerate(answers)]
    assert right == 0 and frequency_scores(items, replace(VSI, aggregate=micro())).overall == 0.5


def scored(items: list[Item], right: np.ndarray) -> Scoring:
    known = Benchmark(
        title="t",
        load=lambda path: items,
        protocols={"s": replace(VSI, aggregate=micro())},
        counts={},
    )
    says = {item.id: item.answer if ok else "Z" for item, ok in zip(items, right, strict=True)}
    responses = [respond(item, known.protocols["s"], says[item.id]) for item in items]
    return score_items("t", "s", known, items, responses)


def test_intervals_go_by_scene_and_not_by_question():
    right = np.random.default_rng(0).random(40) < 0.5
    together = [choice(n, "A", scene=f"s{n // 10}") for n in range(400)]
    apart = [choice(n, "A") for n in range(400)]
    width = [
        np.diff(scored(items, np.repeat(right, 10)).intervals["overall"])[0]
        for items in (together, apart)
    ]
    assert 2.7 < width[0] / width[1] < 3.8  # sqrt(10) = 3.2


def test_json_and_table_hold_all_of_it():
    told = scored([choice(n, "AB"[n % 2], scene=f"s{n // 2}") for n in range(8)], np.arange(8) < 6)
    found = told.to_json()
    assert (found["overall"], found["tasks"]["t"]["n"], found["tasks"]["t"]["score"]) == (
        0.75,
        8,
        0.75,
    )
    for part in (found, found["tasks"]["t"]):
        assert part["scenes"] == 4 and part["random"] == 0.25 and part["frequency"] == 0.5
        assert part["interval"][0] < 0.75 < part["interval"][1] <= 1
    assert json.loads(json.dumps(found)) == found
    lines = format_scores(told).splitlines()
    assert lines[1].split() == ["task", "n", "score", "95", "%", "random", "frequency"]
    assert lines[2].split()[:3] == ["t", "8", "75.00"] and lines[2].split()[-2:] == [
        "25.00",
        "50.00",
    ]
    one_scene = scored([choice(n, "A", scene="s") for n in range(3)], np.ones(3, bool))
    assert one_scene.to_json()["interval"] is None and " - " in format_scores(one_scene)


def release(folder: Path) -> Path:
    rows = [
        {
            "id": number,
            "dataset": "scannet",
            "scene_name": f"scene{number}",
            "question_type": "route_planning",
            "question": "?",
            "ground_truth": "B",
            "options": ["A. left", "B. right"],
        }
        for number in range(4)
    ]
    folder.mkdir()
    parquet.write_table(pa.Table.from_pylist(rows), folder / "test.parquet")
    return folder


def responses(path: Path, prediction: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "".join(
            json.dumps({"id": n, "response": letter}) + "\n" for n, letter in enumerate(prediction)
        )
    )
    return path


def test_blind_replies_are_scored_beside(tmp_path):
    data, seeing = (
        release(tmp_path / "data"),
        responses(tmp_path / "seeing" / "responses.jsonl", "BBBA"),
    )
    blind = responses(tmp_path / "blind" / "responses.jsonl", "BAAA")
    found = score("vsi_bench", data, seeing, no_image=blind).to_json()
    assert (found["overall"], found["no_image"]) == (0.75, 0.25)
    assert found["tasks"]["route_planning"]["no_image"] == 0.25
    assert "no_image" not in score("vsi_bench", data, seeing).to_json()


@pytest.mark.parametrize("blank", [True, False])
def test_replies_of_a_run_that_saw_are_not_blind(tmp_path, blank):
    data, path = release(tmp_path / "data"), responses(tmp_path / "run" / "responses.jsonl", "BBBA")
    manifest = Manifest(
        stage="evaluate", payload={}, counts={}, config={}, about={"blank_images": blank}
    )
    write_manifest(path.parent / "manifest.json", manifest)
    if blank:
        assert score("vsi_bench", data, path, no_image=path).to_json()["no_image"] == 0.75
    else:
        with pytest.raises(ValueError, match="not a no-image run: images were shown"):
            score("vsi_bench", data, path, no_image=path)


def test_nothing_scored_is_no_number():
    assert np.isnan(micro()([]).overall) and isinstance(micro()([]), Scores)
