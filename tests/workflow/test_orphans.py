"""Snakemake's main process is killed, and its job lives on for a moment."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from helpers.workflow_copy import Copy

pytestmark = pytest.mark.xdist_group("workflow")
TARGET = "data/scenes/validation/0000.json"


def job_processes(copy: Copy) -> list[int]:
    """The processes whose command makes `TARGET` in this copy."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            here = entry.name.isdigit() and (entry / "cwd").readlink() == copy.root
            words = (entry / "cmdline").read_bytes().split(b"\0") if here else []
        except OSError:
            continue  # ended meanwhile, or another user's
        if b"--made-from" in words and TARGET.encode() in words:
            found.append(int(entry.name))
    return found


def test_the_result_is_of_the_new_setting_after_a_killed_run(copy):
    copy.edit(
        "workflow/config/default.yaml", "validation: 96", "validation: 960"
    )  # minutes of work
    copy.edit("workflow/config/default.yaml", "shard_size: 96", "shard_size: 960")
    copy.edit(
        "workflow/config/default.yaml", "train: 768, unlabelled: 96", "train: 0, unlabelled: 0"
    )
    copy.edit("workflow/config/default.yaml", "test: 192", "test: 0")
    with copy.start("snakemake", "--profile", "workflow/profiles/local", "--", TARGET) as first:
        while not job_processes(copy):
            assert first.poll() is None
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)  # the main process alone
    for _ in range(600):  # the job polls
        time.sleep(0.05 if job_processes(copy) else 0)
    assert job_processes(copy) == [] and not (copy.root / TARGET).exists()
    copy.edit("workflow/config/default.yaml", "validation: 960", "validation: 2")
    copy.edit("workflow/config/default.yaml", "shard_size: 960", "shard_size: 2")
    found = copy.snakemake("--", TARGET)
    assert found.returncode == 0, found.stdout
    assert json.loads((copy.root / TARGET).read_text())["counts"]["scenes"] == 2
    assert copy.planned(TARGET) == {}


def test_a_job_that_a_later_run_superseded_leaves_its_result_alone(copy):
    """As on a cluster, where a job outlives the run that submitted it."""
    copy.edit("workflow/config/default.yaml", "shard_size: 96", "shard_size: 8")
    made = copy.snakemake("--", TARGET)
    assert made.returncode == 0, made.stdout
    result = (copy.root / TARGET).read_bytes()
    request = copy.root / ".snakemake/jobs" / TARGET
    words = ["--source", "rooms", "--split", "validation", "--shard", "0000", "--config"]
    words += ['{"shard_size":8,"questions":3}', "--made-from", str(request), "--out", TARGET]
    late = copy.run("spatialsv", "scenes", *words)
    assert late.returncode == 2 and "requests another command" in late.stdout
    assert (copy.root / TARGET).read_bytes() == result
    assert copy.planned(TARGET) == {}
