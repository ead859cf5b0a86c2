"""The smoke overlay for real: every stage, then nothing left to do under either tool."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.outside import write_lines
from helpers.workflow_copy import ROOT, Copy, make_copy
from spatialsv.io.manifest import read_manifest
from spatialsv.scenes.question import read_questions
from spatialsv.scenes.store import load_groups

SMOKE = "workflow/config/smoke.yaml"
WEIGHTS = ROOT / "src/spatialsv/weights"
pytestmark = [
    pytest.mark.long,
    pytest.mark.xdist_group("smoke"),
    pytest.mark.skipif(
        not (WEIGHTS / "mllm").is_dir() or not (WEIGHTS / "teacher").is_dir(),
        reason="src/spatialsv/weights is incomplete: `make base` makes it",
    ),
]


def run_smoke(copy: Copy) -> None:
    found = copy.snakemake()
    assert found.returncode == 0, found.stdout


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy after the smoke run."""
    copy = make_copy(tmp_path_factory.mktemp("smoke"))
    copy.edit("workflow/config/run.yaml", "overlay: default", "overlay: smoke")
    run_smoke(copy)
    return copy


def contents(root: Path) -> dict[str, dict]:
    """What each manifest vouches for; the report's page shows timings and is left out."""
    found = {}
    for path in sorted((root / "data").rglob("*.json")):
        if ".zarr" not in str(path):
            record = json.loads(path.read_text())
            if isinstance(record, dict) and "payload" in record:
                record["payload"].pop("report.html", None)
                found[str(path.relative_to(root))] = record["payload"]
    return found


def test_the_run_ends_with_a_table_and_a_page(smoke):
    report = smoke.root / "data/report"
    assert "|" in (report / "table.md").read_text()
    assert (report / "report.html").read_text().lstrip().lower().startswith("<!doctype html")
    assert json.loads((smoke.root / "data/analysis/metrics.json").read_text())["evaluate"]["text"]


def test_nothing_is_left_to_do_and_the_results_are_shown_again(smoke):
    assert smoke.planned() == {}
    again = smoke.snakemake()
    assert "Accuracy by pool of tasks" in again.stdout
    assert again.stdout.rstrip().endswith(f"Report: {smoke.root / 'data/report/report.html'}")


def test_dvc_starts_no_job_after_the_run(smoke):
    found = smoke.run("sh", "-c", "git init -q && dvc repro")
    assert found.returncode == 0, found.stdout
    assert "Nothing to be done" in found.stdout and " to run." not in found.stdout
    assert smoke.run("dvc", "status", "--quiet").returncode == 0


def test_dvc_makes_the_same_artefacts_as_snakemake(smoke, tmp_path):
    copy = make_copy(tmp_path)
    copy.edit("workflow/config/run.yaml", "overlay: default", "overlay: smoke")
    found = copy.run("sh", "-c", "git init -q && dvc repro")
    assert found.returncode == 0, found.stdout
    assert contents(copy.root) == contents(smoke.root)
    assert copy.planned() == {}


@pytest.fixture
def own(smoke, tmp_path) -> Copy:
    """A copy of `smoke` of one's own, to change."""
    shutil.copytree(smoke.root, tmp_path / "copy", symlinks=True)
    return Copy(tmp_path / "copy")


def test_an_experiment_redoes_what_it_changes_and_dvc_compares_it(own):
    name = ("-c", "user.name=tester", "-c", "user.email=tester@example.org")
    first = own.run(
        "sh",
        "-c",
        f"git init -q && dvc repro -q && git add -A && git {' '.join(name)} commit -qm smoke",
    )
    assert first.returncode == 0, first.stdout
    found = own.run("dvc", "exp", "run", "-S", f"{SMOKE}:probe.fit.steps=5")
    assert found.returncode == 0, found.stdout
    ran = re.findall(r"^\[ *\d+/\d+\] (\w+)", found.stdout, re.MULTILINE)
    assert set(ran) == {"probe", "gather", "analysis", "results"}
    shown = own.run("dvc", "metrics", "show").stdout
    assert "accuracy.text" in shown and "probe" not in shown
    everything = ("--targets", "data/analysis/metrics.json")
    compared = own.run("dvc", "metrics", "diff", *everything).stdout
    assert "probe.spatialsv.abs_rel" in compared and "evaluate" not in compared
    assert own.run("dvc", "plots", "show").returncode == 0
    page = (own.root / "dvc_plots/index.html").read_text()
    assert "Text loss" in page and '"arm": "spatialsv"' in page


def test_a_dropped_shard_leaves_no_trace(own):
    gone = ("scenes/train/0003", "labels/rooms/train/0003")
    assert all((own.root / f"data/{name}.json").exists() for name in gone)
    own.edit(SMOKE, "train: 32", "train: 24")
    found = own.snakemake()
    assert found.returncode == 0, found.stdout
    assert not list((own.root / "data/scenes").rglob("0003*"))
    assert not list((own.root / "data/labels").rglob("0003*"))
    assert own.planned() == {}


def test_the_second_of_two_runs_leaves_and_the_first_is_not_torn(smoke, own):
    own.edit(SMOKE, "fit: {steps: 4}", "fit: {steps: 5}")
    with own.start("snakemake", "--profile", "workflow/profiles/local") as first:
        owner = own.root / ".snakemake/run.pid"
        while owner.read_text().strip() != str(first.pid):
            assert first.poll() is None
            time.sleep(0.05)
        second = own.snakemake()
        assert second.returncode == 1
        assert f"another run is active in {own.root} (process {first.pid})" in second.stdout
        assert "--unlock" not in second.stdout
        assert first.wait() == 0
    assert own.planned() == {}
    own.edit(SMOKE, "fit: {steps: 5}", "fit: {steps: 4}")
    run_smoke(own)
    assert contents(own.root) == contents(smoke.root)


def test_a_payload_lost_behind_its_manifest_is_told_with_the_command(smoke):
    page = smoke.root / "data/scenes/test/0000.questions.jsonl"
    text = page.read_text()
    page.unlink()
    found = smoke.snakemake("--forcerun", "evaluate_model")
    page.write_text(text)
    assert found.returncode == 1
    assert "0000.questions.jsonl: missing" in found.stdout and "--force" in found.stdout
    # The jobs that failed lost their manifests; the next run makes them again.
    run_smoke(smoke)
    assert smoke.planned() == {}


def test_the_ablations_leave_the_run_as_it_is(smoke, tmp_path):
    shutil.copytree(smoke.root, tmp_path / "copy")
    copy = Copy(tmp_path / "copy")
    found = copy.snakemake("--", "ablations")
    assert found.returncode == 0, found.stdout
    assert "geometry_exact" in (copy.root / "data/ablations/table.md").read_text()
    assert copy.planned() == {}
    gathers = ("data/train/manifest.json", "data/labels/manifest.json")
    again = copy.snakemake("--force", *gathers)
    assert again.returncode == 0, again.stdout
    assert copy.planned("ablations") == {}


def write_mindcube_tiny(smoke: Path, root: Path) -> None:
    """The test rooms' own questions of MindCube's settings, laid out as MindCube's authors do."""
    lines = []
    manifest = read_manifest(smoke / "data/scenes/test/0000.json")
    (scenes,) = load_groups(manifest.find(".zarr"), ["image"])
    for question in read_questions(manifest.find(".questions.jsonl")):
        if question.task not in ("rotation", "among", "around"):
            continue
        images = [f"other/{question.scene.replace('/', '_')}/{view}.png" for view in question.views]
        for view, name in zip(question.views, images, strict=True):
            path = root / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(scenes.image[scenes.ids.index(question.scene)][view]).save(path)
        lines.append({"id": f"{question.task}_{question.id}", "question": question.text})
        lines[-1] |= {"images": images, "gt_answer": question.answer}
    (root / "data/raw").mkdir(parents=True)
    write_lines(root / "data/raw/MindCube_tinybench.jsonl", lines)


def test_a_benchmark_is_asked_and_stands_in_the_papers_tables(own):
    write_mindcube_tiny(own.root, own.root / "external/MindCube")
    asked = "benchmarks: {mindcube_tiny: {data: external/MindCube, max_new_tokens: 4}}"
    own.edit(SMOKE, "evaluate:\n", f"evaluate:\n  {asked}\n")
    before = contents(own.root)
    assert own.planned() == {"evaluate_benchmark": 4, "gather": 1}
    found = own.snakemake()
    assert found.returncode == 0, found.stdout
    log = own.root / "data/logs/evaluate/rooms/text/0/mindcube_tiny.log"
    assert "test images similar to a training image: " in log.read_text()
    assert own.planned() == {}
    folder = own.root / "data/evaluate/rooms/text/0/mindcube_tiny"
    scores = json.loads((folder / "scores.json").read_text())
    about = json.loads((folder / "manifest.json").read_text())["about"]
    assert about["overlap"]["train"] == 32 * 4 and about["protocol"] == "official"
    assert about["overlap"]["same_name"] == 0  # rooms of their own
    by_hand = ["--model", "data/train/rooms/text/0/manifest.json", "--data", "external/MindCube"]
    by_hand += ["--config", '{"max_new_tokens": 4}', "--out", "runs/mine"]
    found = own.run("spatialsv", "evaluate", "mindcube_tiny", *by_hand)
    assert found.returncode == 0 and "training: 128 images" in found.stdout
    listed = json.loads((own.root / "data/evaluate/manifest.json").read_text())["payload"]
    assert "rooms/no_image/0/mindcube_tiny/manifest.json" in listed
    assert own.planned("paper") == {"paper": 1}
    found = own.snakemake("--", "paper")
    assert found.returncode == 0, found.stdout
    assert own.planned("paper") == {}
    table = (own.root / "data/paper/table.md").read_text()
    (text,) = [line for line in table.splitlines() if line.startswith("| rooms, text |")]
    cells = [cell.strip() for cell in text.split("|")[2:-1]]
    assert cells[3] == f"{100 * scores['overall']:.1f}" and cells[10] == "not run"
    assert "| Qwen2.5-VL-3B, text | not run (33.5) |" in table
    own.edit(SMOKE, f"  {asked}\n", "")
    assert own.snakemake().returncode == 0
    assert not list((own.root / "data/evaluate").rglob("mindcube_tiny"))
    after = contents(own.root)
    assert {k: v for k, v in after.items() if not k.startswith("data/paper")} == before


def finished(root: Path) -> dict[Path, int]:
    """When each manifest was written whose job Snakemake knows to be finished."""
    marks = (root / ".snakemake/incomplete").glob("*")
    torn = {base64.urlsafe_b64decode(mark.name).decode() for mark in marks}
    found = [path for path in (root / "data").rglob("*.json") if ".zarr" not in str(path)]
    return {
        path: path.stat().st_mtime_ns
        for path in found
        if str(path.relative_to(root)) not in torn and "payload" in path.read_text()
    }


def test_a_run_killed_at_random_moments_goes_on_to_the_same_artefacts(smoke, tmp_path):
    copy = make_copy(tmp_path)
    copy.edit("workflow/config/run.yaml", "overlay: default", "overlay: smoke")
    command = ["snakemake", "--profile", "workflow/profiles/local", "--quiet", "all"]
    for wait in np.random.default_rng(0).uniform(2, 12, size=20):  # seconds
        before = finished(copy.root)
        with copy.start(*command) as run:
            time.sleep(wait)
            os.killpg(run.pid, signal.SIGKILL)
        after = finished(copy.root)
        assert before.items() <= after.items(), "a finished job was repeated"
    before = finished(copy.root)
    run_smoke(copy)
    assert before.items() <= finished(copy.root).items(), "a finished job was repeated"
    assert contents(copy.root) == contents(smoke.root)
