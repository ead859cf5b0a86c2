"""A finished run in small: five arms' replies to planes' questions, logs, lifted depth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.manifests import manifest_over
from spatialsv.benchmarks.responses import Response
from spatialsv.benchmarks.rooms import ROOMS, item_from_question, metrics
from spatialsv.benchmarks.score import respond
from spatialsv.evaluate.baselines import FrequencyBaseline, RandomBaseline
from spatialsv.io.atomic import write_json
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.pseudo import PseudoConfig
from spatialsv.pseudo import run as pseudo
from spatialsv.scenes.question import write_questions
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import write_store
from spatialsv.stats.summary import QuestionScore
from spatialsv.teachers.exact import ExactTeacher

PROTOCOL = ROOMS.protocols["official"]
SKILL = {"base": 0.2, "text": 0.6, "distill": 0.65, "spatialsv": 0.95, "no_image": 0.5}
HOSTILE = "</script><script>document.title='broken'</script> & <b>bold</b> \u2028"


def scored_response(
    scored: QuestionScore,
    prompt: str,
    options: int,
    answer: str,
    response: str,
    prediction: str | float | None = None,
) -> Response:
    """A response with the fields that the analysis reads."""
    fields = {name: getattr(scored, name) for name in ("id", "scene", "task", "kind", "spatial")}
    own = {"prompt": prompt, "options": options, "answer": answer, "response": response}
    return Response(**fields, **own, prediction=prediction, score=scored.score)


def write_job(folder: Path, stage: str, arm: str, files: dict, seed: int = 0) -> Path:
    """One job's folder with a metrics.json and other JSON or text files."""
    place = folder / stage / "rooms" / arm / str(seed)
    place.mkdir(parents=True)
    for name, content in files.items():
        if isinstance(content, str):
            (place / name).write_text(content)
        else:
            write_json(place / name, content)
    return manifest_over(place / "manifest.json", stage, files)


def write_evaluate(folder: Path, arm: str, replies: list, seed: int = 0) -> Path:
    responses = "".join(reply.to_line() for reply in replies)
    files = {"metrics.json": metrics(replies), "responses.jsonl": responses}
    return write_job(folder, "evaluate", arm, files, seed)


def answers(questions, skill, seed):
    """Right with probability `skill`, else another letter, or a number 30 % off."""
    rng = np.random.default_rng(seed)
    found = []
    for question in questions:
        reply = question.answer
        if rng.uniform() > skill:
            wrong = "B" if question.answer == "A" else "A"
            reply = wrong if question.options else f"{1.3 * float(question.answer) + 0.3:.2f}"
        found.append(respond(item_from_question(question), PROTOCOL, reply, key="key"))
    return found


def curve(arm: str, steps: int = 60) -> str:
    terms = {"text": 2.0, **({"depth/l2": 0.6, "rays/l2": 0.3} if arm == "spatialsv" else {})}
    lines = [
        {"step": s, "learning_rate": 1e-4, **{k: v / (1 + s / 10) for k, v in terms.items()}}
        for s in range(1, steps + 1)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def write_pseudo(folder: Path, scenes: Scenes) -> Path:
    """The real stage on exact labels, a third of each first view too far."""

    class Astray:
        def label(self, scenes: Scenes) -> Scenes:
            labels = ExactTeacher().label(scenes)
            depth = labels.depth.copy()
            depth[:, 0, 20:] *= 1.3
            return labels.replace(depth=depth)

    path = folder / "unlabelled" / "0000.json"
    path.parent.mkdir()
    digest = write_store(path.with_suffix(".zarr"), scenes)
    write_manifest(path, Manifest(stage="scenes", payload={"0000.zarr": digest}))
    return pseudo(path, PseudoConfig(), folder / "pseudo" / "0000.json", teacher=Astray()).path


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, tiny_scenes, tiny_questions) -> dict[str, list[Path]]:
    """Manifests by stage, and Snakemake's benchmark files as `timings`."""
    folder = tmp_path_factory.mktemp("run")
    questions = [
        replace(tiny_questions[0], text=f"{HOSTILE}\nA. lamp\nB. table"),
        *tiny_questions[1:],
    ]
    place = folder / "scenes" / "test"
    place.mkdir(parents=True)
    write_store(place / "0000.zarr", tiny_scenes)
    write_questions(place / "0000.questions.jsonl", questions)
    manifest_over(place / "0000.json", "scenes", ["0000.zarr", "0000.questions.jsonl"])

    paths: dict[str, list[Path]] = {"scenes": [place / "0000.json"], "evaluate": []}
    for seed, (arm, skill) in enumerate(SKILL.items()):
        paths["evaluate"].append(write_evaluate(folder, arm, answers(questions, skill, seed)))
    items = [item_from_question(question) for question in questions]
    for baseline in (RandomBaseline.fit(items, PROTOCOL), FrequencyBaseline.fit(items, PROTOCOL)):
        replies = list(baseline.respond(items, {}))
        paths["evaluate"].append(write_evaluate(folder, baseline.name, replies))
    paths["train"] = [
        write_job(folder, "train", arm, {"log.jsonl": curve(arm)}) for arm in SKILL if arm != "base"
    ]
    lift = write_job(
        folder, "lift", "spatialsv", {"metrics.json": {"abs_rel": 0.12, "delta1": 0.9}}
    )
    lifted = ExactTeacher().label(tiny_scenes)  # a model that is never wrong
    write_store(lift.with_name("depth.zarr"), lifted)
    manifest_over(lift, "lift", ["metrics.json", "depth.zarr"])
    paths["lift"] = [lift]
    paths["probe"] = [
        write_job(folder, "probe", arm, {"metrics.json": {"rmse": value}})
        for arm, value in (("base", 0.5), ("text", 0.45), ("spatialsv", 0.3))
    ]
    flat = lifted.replace(depth=np.full_like(lifted.depth, 0.8), confidence=None)
    write_store(paths["probe"][1].with_name("depth.zarr"), flat)  # a model that tells nothing apart
    manifest_over(paths["probe"][1], "probe", ["metrics.json", "depth.zarr"])
    paths["pseudo"] = [write_pseudo(folder, tiny_scenes)]
    timing = folder / "benchmarks" / "evaluate" / "rooms" / "text" / "0.tsv"
    timing.parent.mkdir(parents=True)
    timing.write_text("s\th:m:s\tmax_rss\n12.5\t0:00:12\t850.5\n")
    paths["timings"] = [timing]
    return paths
