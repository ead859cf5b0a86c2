"""`spatialsv demo`: a first result from the shipped weights, as one page that needs no network.

The stages of the pipeline run on a few rendered rooms. The package ships a base MLLM and a geometry
teacher, but no trained arm. So the page compares the MLLM with and without images, and with answers
that follow from geometry without the MLLM: the teacher's, and the exact one.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatialsv import analysis, evaluate, labels, report
from spatialsv.analysis.geometry_solver import load_rooms, solve_rooms
from spatialsv.benchmarks import rooms as benchmark
from spatialsv.benchmarks.catalogue import find_protocol
from spatialsv.benchmarks.responses import FILE, write_responses
from spatialsv.benchmarks.score import respond
from spatialsv.io.atomic import write_text
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.report.data import read_tables
from spatialsv.report.result_tables import result_tables
from spatialsv.report.tables import as_text
from spatialsv.rooms import stage as scenes
from spatialsv.rooms.questions.directions import SECTORS
from spatialsv.rooms.room import MOTIONS
from spatialsv.scenes.scene_list import by_id
from spatialsv.scenes.store import load_groups

SPLIT = "test"
TASKS = (*MOTIONS, *SECTORS, "rel_distance", "route_planning", "depth_order")  # solvable choices
SOLVERS = {"geometry": "lifted", "exact_geometry": "exact"}  # arm -> source of its geometry
NOTE = (
    "A demo on {rooms} rendered test rooms with the shipped weights; nothing was trained. The base"
    " MLLM answers with images and with grey images. The geometry-only solver answers by rules from"
    " the depth and cameras of the shipped teacher, or from exact ones. It is given which pixels"
    " belong to which object, and one length per scene."
)


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Size of the demo."""

    rooms: int = 32  # rendered test rooms
    questions: int = 12  # about a room, at most

    def __post_init__(self) -> None:
        if self.rooms < 2:
            raise ValueError(f"rooms: expected 2 or more, found {self.rooms}.")
        if self.questions < 1:
            raise ValueError(f"questions: expected 1 or more, found {self.questions}.")


def run(out: Path = Path("demo"), config: DemoConfig | None = None) -> Path:
    """Render rooms, lift them, answer their questions, and write index.html.

    Args:
        out: folder for the page; the stages' artefacts go to `stages/` in it
        config: settings

    Returns:
        The page.
    """
    config = config or DemoConfig()
    work = out / "stages"
    room_file = work / "scenes" / SPLIT / "0000.json"
    settings = scenes.ScenesConfig(
        splits={SPLIT: config.rooms},
        shard_size=config.rooms,
        questions=config.questions,
        tasks={SPLIT: TASKS},
    )
    _step(1, f"render {config.rooms} rooms", scenes.run, SPLIT, 0, settings, room_file)
    label_file = work / "labels" / "rooms" / SPLIT / "0000.json"
    every_pixel = labels.LabelsConfig(drop_percent=0.0)
    _step(2, "depth and cameras", labels.run, room_file, "rooms", every_pixel, label_file)
    jobs = [_job(work, name) for name in ("base", "no_image", *SOLVERS)]
    shown, grey = (evaluate.EvaluateConfig(blank_images=blank) for blank in (False, True))
    _step(3, "answers of the MLLM", evaluate.run, "base", [room_file], shown, jobs[0])
    _step(4, "answers without images", evaluate.run, "base", [room_file], grey, jobs[1])
    _step(5, "answers from geometry", _solve, room_file, label_file, work)
    page, table = _step(6, "page", _write_page, out, config, room_file, label_file, jobs)
    print(table)
    print(f"demo: {config.rooms} rooms, 4 views each. Open {page} in a browser.")
    return page


def _step(number: int, title: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Announce a step and run it; what it prints for the pipeline is dropped."""
    print(f"demo {number}/6: {title}", flush=True)
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments)


def _job(work: Path, arm: str) -> Path:
    return work / "evaluate" / "rooms" / arm / "0" / "manifest.json"


def _solve(room_file: Path, label_file: Path, work: Path) -> None:
    """Write the responses of the geometry-only solver; where it has no answer, they are empty."""
    lifted = by_id(load_groups(read_manifest(label_file).find(".zarr")))
    answers = solve_rooms(load_rooms([read_manifest(room_file)]), lifted)
    items, _ = benchmark.read_shards([room_file], room_file.parent)
    _, protocol = find_protocol(benchmark.NAME, None)
    for arm, source in SOLVERS.items():
        path = _job(work, arm)
        path.parent.mkdir(parents=True, exist_ok=True)
        texts = {item.id: answers.get(item.id, {}).get(source) for item in items}
        write_responses(
            path.with_name(FILE), [respond(i, protocol, str(texts[i.id] or "")) for i in items]
        )
        payload = {FILE: digest_path(path.with_name(FILE))}
        about = {"model": f"geometry-only solver, {source} geometry"}
        counts = {"questions": len(items)}
        write_manifest(
            path, Manifest(stage="evaluate", payload=payload, counts=counts, about=about)
        )


def _write_page(
    out: Path, config: DemoConfig, room_file: Path, label_file: Path, jobs: list[Path]
) -> tuple[Path, str]:
    """Analyse the responses and write the report as index.html; return it, and the scores."""
    analysed, reported = (
        out / "stages" / name / "manifest.json" for name in ("analysis", "report")
    )
    analysis.run(
        evaluate=jobs,
        scenes=[room_file],
        labels=[label_file],
        config=analysis.AnalysisConfig(),
        out=analysed,
    )
    note = NOTE.format(rooms=config.rooms)
    report.run(analysis=analysed, config=report.ReportConfig(note=note), out=reported)
    page = out / "index.html"
    write_text(page, reported.with_name("report.html").read_text())
    return page, as_text(result_tables(read_tables(read_manifest(analysed)))[0])
