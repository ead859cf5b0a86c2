"""The refusals: a second run, queued jobs, another overlay, missing requirements."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from guard import check_overlay, check_queue, check_required, claim

HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from guard import claim
with claim(Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that runs in `tmp_path`."""
    workflow = Path(__file__).parents[2] / "workflow"
    command = [sys.executable, "-c", HOLDER, str(workflow), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_run_names_the_first(tmp_path, holder):
    with (
        pytest.raises(RuntimeError, match=rf"another run is active .*process {holder.pid}"),
        claim(tmp_path),
    ):
        raise AssertionError("claimed twice")


def test_a_killed_run_leaves_no_claim(tmp_path, holder):
    holder.kill()
    holder.wait()
    for _ in range(2):
        with claim(tmp_path):
            pass


TARGET = "data/scenes/validation/0000.json"


def test_a_second_run_is_told_of_the_first_alone_and_a_dry_run_is_not(copy):
    with claim(copy.root):
        second = copy.snakemake("--", TARGET)
        assert second.returncode == 1 and not (copy.root / "data").exists()
        assert f"another run is active in {copy.root} (process {os.getpid()})" in second.stdout
        assert "unlock" not in second.stdout and "Traceback" not in second.stdout
        assert copy.planned(TARGET) == {"scenes_shard": 1}


NO_FLOCK = """
import errno, fcntl
def flock(*arguments):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""


def test_a_file_system_without_flock_has_runs_and_dry_runs(copy):
    copy.edit("workflow/config/default.yaml", "shard_size: 96", "shard_size: 2")
    (copy.root / "src/sitecustomize.py").write_text(NO_FLOCK)
    assert copy.planned(TARGET) == {"scenes_shard": 1}
    found = copy.snakemake("--", TARGET)
    assert found.returncode == 0, found.stdout
    assert copy.planned(TARGET) == {}


@pytest.fixture
def queue(tmp_path: Path, monkeypatch) -> Path:
    """The jobs that `squeue` lists, one a line; an earlier run submitted 41, 42 and 43_7."""
    records = tmp_path / ".snakemake/incomplete"
    records.mkdir(parents=True)
    for number, job in enumerate(("41", "42", "43_7", None)):
        (records / str(number)).write_text(json.dumps({"external_jobid": job}))
    (records / "torn").write_text("{")
    jobs, program = tmp_path / "jobs", tmp_path / "bin/squeue"
    jobs.touch()
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat {shlex.quote(str(jobs))}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return jobs


def test_jobs_that_an_earlier_run_left_in_the_queue_are_not_submitted_again(tmp_path, queue):
    queue.write_text("7\n43\n41\n")
    with pytest.raises(RuntimeError, match=r"queued or running: 41, 43\. .*`scancel 41 43`"):
        check_queue(tmp_path)


def test_jobs_that_have_ended_hold_no_run_up(tmp_path, queue):
    queue.write_text("7\n")
    check_queue(tmp_path)


def artefact(root: Path) -> None:
    (root / "data/scenes/train").mkdir(parents=True)
    (root / "data/scenes/train/0000.json").write_text("{}")


def test_another_overlays_run_is_not_replaced_unless_its_mark_is_taken_away(tmp_path):
    def start(overlay: str) -> None:
        check_overlay(tmp_path, overlay, ["scenes"])

    start("default")
    start("smoke")  # nothing is lost
    start("evidence")
    artefact(tmp_path)
    start("evidence")
    with pytest.raises(RuntimeError, match=r"run of overlay 'evidence', which a run of 'smoke'"):
        start("smoke")
    (tmp_path / ".snakemake/overlay").unlink()
    start("smoke")


def test_logs_and_half_written_stores_are_no_artefacts(tmp_path):
    check_overlay(tmp_path, "default", ["scenes"])
    (tmp_path / "data/logs").mkdir(parents=True)
    (tmp_path / "data/logs/x.json").write_text("{}")
    (tmp_path / "data/scenes/0000.zarr").mkdir(parents=True)
    (tmp_path / "data/scenes/0000.zarr/zarr.json").write_text("{}")
    check_overlay(tmp_path, "smoke", ["scenes"])


NEEDS = {
    "MindCube": {"path": "external/MindCube", "get": "hf download MindCube"},
    "weights": {"path": "external/weights", "get": "hf download weights"},
}


def test_all_that_is_missing_is_listed_at_once_with_its_remedy(tmp_path):
    (tmp_path / "external/weights").mkdir(parents=True)
    with pytest.raises(RuntimeError) as error:
        check_required(tmp_path, NEEDS, ["no reader for tapes"])
    message = str(error.value)
    assert message.startswith("Required inputs are missing")
    assert "1. MindCube: no external/MindCube\n    hf download MindCube" in message
    assert "2. no reader for tapes" in message and "weights" not in message


def test_a_run_that_has_what_it_needs_starts(tmp_path):
    for need in NEEDS.values():
        (tmp_path / need["path"]).mkdir(parents=True)
    check_required(tmp_path, NEEDS, [])
