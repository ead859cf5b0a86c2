"""What geometry answers: all of it where it is exact, its own mistakes where it is not."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.finished_run import scored_response
from helpers.manifests import manifest_over
from spatialsv.analysis.geometry_solver import SOURCES, load_rooms, solve_rooms
from spatialsv.analysis.jobs import read_jobs
from spatialsv.analysis.solver_scores import SolvedQuestion, agreement_row, solver_tables
from spatialsv.io.atomic import write_json
from spatialsv.io.manifest import read_manifest
from spatialsv.report.figures import solver_figure
from spatialsv.rooms.stage import ScenesConfig, run
from spatialsv.scenes.question import Question
from spatialsv.scenes.scene_list import by_id, stack
from spatialsv.scenes.store import load_store, write_store
from spatialsv.stats.summary import QuestionScore
from spatialsv.teachers.exact import ExactTeacher

ROOMS = 12


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    """The manifest of a dozen rooms, all that can be asked of them."""
    out = tmp_path_factory.mktemp("rooms") / "0000.json"
    run("test", 0, ScenesConfig(shard_size=ROOMS, questions=30), out)
    return read_manifest(out)


@pytest.fixture(scope="module")
def labels(rooms):
    """What a perfect model would lift: relative, in each first view's frame, at half the size."""
    exact = ExactTeacher().label(load_store(rooms.find(".zarr")))
    K = exact.intrinsics / np.array([2.0, 2, 1])[:, None]
    K[..., :2, 2] -= 0.25  # every second pixel, from the second
    small = {name: getattr(exact, name)[..., 1::2, 1::2] for name in ("depth", "valid")}
    return exact.replace(intrinsics=K, features=None, confidence=None, **small)


def shares(known, said):
    """How many choices each source gets right."""
    asked = [q for one in known for q in one.questions if q.kind == "choice"]
    assert len(asked) > 60
    return {name: np.mean([said[q.id][name] == q.answer for q in asked]) for name in SOURCES}


def test_exact_geometry_answers_and_a_perfect_lift_says_the_same(rooms, labels):
    known = load_rooms([rooms])
    said = solve_rooms(known, by_id([labels]))
    right = shares(known, said)
    assert right["exact"] > 0.95 and right["lifted"] == right["exact"]
    assert right["lifted_depth"] == right["exact"]
    for answers in said.values():
        for name in ("lifted", "lifted_depth"):
            if isinstance(answers["exact"], float):
                assert answers[name] == pytest.approx(answers["exact"], rel=1e-3)
            else:
                assert answers[name] == answers["exact"]


def test_cameras_that_stand_still_lose_what_depth_cannot_tell(rooms, labels):
    """All views said to be the first: with exact cameras nothing is lost."""
    still = np.broadcast_to(np.eye(4), labels.cam_to_world.shape).copy()
    known = load_rooms([rooms])
    right = shares(known, solve_rooms(known, by_id([labels.replace(cam_to_world=still)])))
    assert right["lifted_depth"] > 0.95 > right["lifted"] + 0.2


def test_views_without_a_camera_show_nothing(rooms, labels):
    known = load_rooms([rooms])
    poses = labels.cam_to_world.copy()
    poses[0] = np.nan  # all of the first room's
    poses[1, 1] = np.nan
    said = solve_rooms(known, by_id([labels.replace(cam_to_world=poses)]))
    for question in known[0].questions:
        assert said[question.id]["lifted"] is None
        assert said[question.id]["lifted_depth"] is not None
    perfect = solve_rooms(known, by_id([labels]))
    for question in known[2].questions:
        assert said[question.id] == perfect[question.id]


def test_scenes_from_elsewhere_are_passed_over_and_other_rooms_refused(rooms):
    elsewhere = replace(rooms, config={}, about={})
    assert load_rooms([elsewhere]) == []
    other = {"rooms": dict(rooms.config["rooms"], extent=[6.0, 6.5])}
    with pytest.raises(ValueError, match="Force the stage `scenes`"):
        load_rooms([replace(rooms, config=other)])


def replies(known, said):
    """Answers whose replies are what `said` gives."""
    found = {}
    for one in known:
        for q in one.questions:
            told = QuestionScore(
                id=q.id, scene=q.scene, task=q.task, kind=q.kind, spatial=True,
                score=float(said[q.id] == q.answer) if q.kind == "choice" else 0.5,
            )  # fmt: skip
            reply = str(said[q.id])
            found[q.id] = scored_response(told, q.text, len(q.options), q.answer, reply, said[q.id])
    return found


def test_a_model_that_reads_its_geometry_is_told_from_one_that_does_not(rooms, labels, tmp_path):
    rng = np.random.default_rng(0)
    turn = labels.cam_to_world.copy()
    turn[:, 1:, :3, 3] += rng.normal(scale=0.5, size=turn[:, 1:, :3, 3].shape)
    lifted = labels.replace(cam_to_world=turn)
    place = tmp_path / "lift/rooms/spatialsv/0"
    place.mkdir(parents=True)
    write_json(place / "metrics.json", {})
    write_store(place / "lifted.zarr", lifted)
    manifest_over(place / "manifest.json", "lift", ["metrics.json", "lifted.zarr"])
    known = load_rooms([rooms])
    said = solve_rooms(known, by_id([lifted]))
    blind = {
        q.id: rng.choice(list("ABCD")[: len(q.options)]).item() if q.options else 1.0
        for one in known
        for q in one.questions
    }
    answered = {
        ("text", "0"): replies(known, blind),
        ("spatialsv", "0"): replies(known, {name: s["lifted"] for name, s in said.items()}),
    }
    jobs = read_jobs([place / "manifest.json"])
    tables = solver_tables(jobs, answered, [rooms], resamples=200)
    agreement = {row["responses_of"]: row for row in tables["solver_agreement"]}
    assert agreement["spatialsv"]["kappa"] == pytest.approx(1)
    assert abs(agreement["text"]["kappa"]) < 0.2
    assert agreement["spatialsv"]["same_mistake"] == 1
    same = agreement["text"]
    assert same["low"] < same["chance"] < same["high"]
    trends = {row["trend"]: row for row in tables["trends"]}
    assert trends["correct_lead"]["low"] > 0.5
    assert trends["log_number"]["slope"] == pytest.approx(1)
    scores = tables["solver_scores"]
    choice = {row["source"]: row["mean"] for row in scores if row["task"] == "choice"}
    assert choice["response"] == choice["lifted"] < choice["exact"]
    tasks = [row for row in scores if not row["is_pool"]]
    (ax,) = solver_figure("spatialsv", tasks, ["text", "spatialsv"]).axes
    dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert len(dotted) == sum(row["source"] == "chance" for row in tasks)


def test_saying_left_always_is_a_habit_and_no_agreement():
    """Letters change from question to question; what they stand for does not."""
    rng, rows = np.random.default_rng(0), []
    for number in range(400):
        options = ("left", "right") if rng.integers(2) else ("right", "left")
        left = "AB"[options.index("left")]
        text = "?\n" + "\n".join(f"{letter}. {o}" for letter, o in zip("AB", options, strict=True))
        question = Question(
            id=str(number),
            scene=f"s{number // 4}",
            task="rel_direction_easy",
            text=text,
            answer="A",
            options=options,
            views=(0,),
        )
        geometry = left if rng.uniform() < 0.8 else "AB"[options.index("right")]
        told = QuestionScore(
            id=str(number), scene=question.scene, task=question.task, kind="choice",
            spatial=True, score=0.0,
        )  # fmt: skip
        reply = scored_response(told, text, 2, "A", left, left)
        rows.append(
            SolvedQuestion(
                question=question, answers={"lifted": geometry}, responses={"text": reply}
            )
        )
    row = agreement_row("text", rows, 200, 0)
    assert row["kappa"] is None or abs(row["kappa"]) < 0.05
    assert row["same_mistake"] is None  # of two options


def test_lifted_stacks_are_matched_by_scene(rooms, labels):
    """In whatever order they were lifted."""
    known = load_rooms([rooms])
    shuffled = stack([labels.select([i]) for i in reversed(range(ROOMS))])
    assert solve_rooms(known, by_id([shuffled])) == solve_rooms(known, by_id([labels]))
