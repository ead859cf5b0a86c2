"""The refusals: a second run, artefacts of unknown origin, missing requirements."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from guard import check_overlay, check_provenance, check_required, claim, clear_stale_locks

HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from guard import claim
claim(Path(sys.argv[2]))
print("held", flush=True)
time.sleep(60)
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


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock of Snakemake's in `tmp_path`."""
    path = tmp_path / ".snakemake/locks/0.input.lock"
    path.parent.mkdir(parents=True)
    path.write_text("data/x\n")
    return path


def test_the_second_run_names_the_first(tmp_path, holder):
    with pytest.raises(RuntimeError, match=rf"another run is active .*process {holder.pid}"):
        claim(tmp_path)


def test_the_locks_of_an_active_run_stay(tmp_path, holder, lock):
    assert f"process {holder.pid}" in clear_stale_locks(tmp_path)
    assert lock.exists()


def test_a_killed_run_leaves_no_claim_and_its_locks_are_cleared(tmp_path, holder, lock):
    holder.kill()
    holder.wait()
    assert clear_stale_locks(tmp_path) is None and not lock.exists()
    claim(tmp_path)


def artefact(root: Path) -> None:
    (root / "data/scenes/train").mkdir(parents=True)
    (root / "data/scenes/train/0000.json").write_text("{}")


def test_artefacts_without_provenance_are_refused_with_the_remedy(tmp_path):
    artefact(tmp_path)
    with pytest.raises(RuntimeError, match=r"data/scenes/train/0000.json exists.*make pull"):
        check_provenance(tmp_path, ["scenes"])


@pytest.mark.parametrize("record", ["metadata", "incomplete"])
def test_artefacts_of_a_known_run_are_accepted(tmp_path, record):
    artefact(tmp_path)
    folder = tmp_path / ".snakemake" / record
    folder.mkdir(parents=True)
    (folder / "ZGF0YQ==").write_text("{}")
    check_provenance(tmp_path, ["scenes"])


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
    (tmp_path / "data/logs").mkdir(parents=True)
    (tmp_path / "data/logs/x.json").write_text("{}")
    (tmp_path / "data/scenes/0000.zarr").mkdir(parents=True)
    (tmp_path / "data/scenes/0000.zarr/zarr.json").write_text("{}")
    check_provenance(tmp_path, ["scenes"])


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
