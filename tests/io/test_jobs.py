"""Requests of the workflow's jobs, and the end of a job whose workflow ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spatialsv.io.atomic import atomic_directory, write_json, write_text
from spatialsv.io.jobs import PARENT, process_token, requested_job

REQUEST = {"settings": "1", "code": "2", "inputs": []}
COMMAND = "3"


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    path = tmp_path / "request.json"
    write_json(path, REQUEST | {"command": COMMAND})
    return path


def test_a_job_writes_while_it_is_requested(request_file, tmp_path):
    with requested_job(request_file, COMMAND) as request:
        assert request == REQUEST
        write_text(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "new"


@pytest.mark.parametrize("replaced", [True, False])
def test_a_job_whose_request_was_replaced_overwrites_nothing(request_file, tmp_path, replaced):
    file, folder = tmp_path / "x", tmp_path / "y"
    write_text(file, "of the later run")
    write_text(folder / "x", "of the later run")
    with requested_job(request_file, COMMAND):
        if replaced:
            request_file.write_text('{"settings": "3"}')
        else:
            request_file.unlink()
        with pytest.raises(ValueError, match=r"request\.json: a later run replaced the request"):
            write_text(file, "late")
        with (
            pytest.raises(ValueError, match="a later run replaced"),
            atomic_directory(folder) as new,
        ):
            new.mkdir()
    assert file.read_text() == (folder / "x").read_text() == "of the later run"
    left = {path.name for path in tmp_path.iterdir()} - {"request.json"}
    assert left == {"x", "y"}  # and nothing half-written
    write_text(file, "by hand")  # no job any more


def test_a_command_that_is_not_the_requested_one_is_an_error(request_file):
    with (
        pytest.raises(ValueError, match="requests another command"),
        requested_job(request_file, "4"),
    ):
        raise AssertionError("ran")


JOB = """
import sys, time
from pathlib import Path
from spatialsv.io.jobs import requested_job
with requested_job(Path(sys.argv[1]), "3"):
    print("started", flush=True)
    time.sleep(600)
"""


def test_a_job_ends_when_the_workflow_was_killed(request_file):
    with subprocess.Popen(["sleep", "600"]) as workflow:
        environment = os.environ | {PARENT: process_token(workflow.pid)}
        command = [sys.executable, "-c", JOB, str(request_file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as job:
            assert job.stdout.readline() == "started\n"
            assert job.poll() is None
            workflow.kill()
            workflow.wait()
            assert job.wait() == -9


def test_a_job_of_a_workflow_that_has_ended_ends_at_once(request_file):
    ended = f"{os.getpid()} 0"  # this process's id, which another process had before
    command = [sys.executable, "-c", JOB, str(request_file)]
    environment = os.environ | {PARENT: ended}
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert done.returncode == -9
    assert f"The workflow (process {os.getpid()}) has ended" in done.stderr
