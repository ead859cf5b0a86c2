"""The refusals: a second run, artefacts of unknown make, needs that are not here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from guard import check_needs, check_overlay, check_provenance, claim, drop_torn

HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from guard import claim
lock = claim(Path(sys.argv[2]), [])
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


def test_the_second_run_names_the_first(tmp_path, holder):
    with pytest.raises(RuntimeError, match=f"process {holder.pid}"):
        claim(tmp_path, ["--cores", "2"])


@pytest.mark.parametrize("arguments", [["-n"], ["--dry-run"], ["-np"], ["--lint"], ["--summary"]])
def test_a_look_is_allowed_during_a_run_and_claims_nothing(tmp_path, holder, arguments):
    assert claim(tmp_path, arguments) is None


def test_a_killed_run_leaves_no_claim_and_its_locks_are_cleared(tmp_path, holder):
    lock = tmp_path / ".snakemake/locks/0.input.lock"
    lock.parent.mkdir()
    lock.write_text("data/x\n")
    holder.kill()
    holder.wait()
    handle = claim(tmp_path, ["--cores", "2"])
    assert handle is not None and not lock.exists()
    handle.close()


def test_a_running_runs_locks_stay(tmp_path, holder):
    lock = tmp_path / ".snakemake/locks/0.input.lock"
    lock.parent.mkdir()
    lock.write_text("data/x\n")
    claim(tmp_path, ["-n"])
    assert lock.exists()


def artefact(root: Path) -> None:
    (root / "data/scenes/train").mkdir(parents=True)
    (root / "data/scenes/train/0000.json").write_text("{}")


def test_artefacts_without_provenance_are_refused_with_the_remedy(tmp_path):
    artefact(tmp_path)
    with pytest.raises(RuntimeError, match=r"data/scenes/train/0000.json exists.*make pull"):
        check_provenance(tmp_path, ["scenes"], ["--cores", "2"])
    check_provenance(tmp_path, ["scenes"], ["--touch", "--forceall", "all"])


@pytest.mark.parametrize("record", ["metadata", "incomplete"])
def test_artefacts_of_a_known_run_are_accepted(tmp_path, record):
    artefact(tmp_path)
    folder = tmp_path / ".snakemake" / record
    folder.mkdir(parents=True)
    (folder / "ZGF0YQ==").write_text("{}")
    check_provenance(tmp_path, ["scenes"], [])


def test_another_overlays_run_is_not_replaced_unless_its_mark_is_taken_away(tmp_path):
    def start(overlay: str, *arguments: str) -> None:
        check_overlay(tmp_path, overlay, ["scenes"], arguments)

    start("default", "--cores", "2")
    start("smoke")  # nothing is lost
    start("evidence")
    artefact(tmp_path)
    start("evidence")
    with pytest.raises(RuntimeError, match=r"run of overlay 'evidence', and one of 'smoke' would"):
        start("smoke", "--cores", "2")
    start("smoke", "-n")
    (tmp_path / ".snakemake/overlay").unlink()
    start("smoke", "--cores", "2")


def test_logs_and_half_written_stores_are_no_artefacts(tmp_path):
    (tmp_path / "data/logs").mkdir(parents=True)
    (tmp_path / "data/logs/x.json").write_text("{}")
    (tmp_path / "data/scenes/0000.zarr").mkdir(parents=True)
    (tmp_path / "data/scenes/0000.zarr/zarr.json").write_text("{}")
    check_provenance(tmp_path, ["scenes"], [])


def test_a_stage_whose_jobs_manifest_is_gone_is_made_again(tmp_path):
    own = tmp_path / "data/train/manifest.json"
    job = own.parent / "rooms/text/0/manifest.json"
    job.parent.mkdir(parents=True)
    job.write_text("{}")
    own.write_text('{"payload": {"rooms/text/0/manifest.json": "0"}}')
    assert drop_torn(tmp_path, ["scenes", "train"], []) == [] and own.is_file()
    job.unlink()
    (told,) = drop_torn(tmp_path, ["train"], ["-n"])
    assert told.startswith("data/train/rooms/text/0/manifest.json is gone") and own.is_file()
    assert drop_torn(tmp_path, ["train"], []) == [told] and not own.exists()


NEEDS = {
    "MindCube": {"path": "external/MindCube", "get": "hf download MindCube"},
    "weights": {"path": "external/weights", "get": "hf download weights"},
}


def test_all_that_is_missing_is_told_at_once_with_its_remedy(tmp_path):
    (tmp_path / "external/weights").mkdir(parents=True)
    with pytest.raises(RuntimeError) as told:
        check_needs(tmp_path, NEEDS, ["no reader for tapes"], ["--cores", "2"])
    message = str(told.value)
    assert "1. MindCube: no external/MindCube\n    hf download MindCube" in message
    assert "2. no reader for tapes" in message and "weights" not in message


def test_needs_stop_neither_a_look_nor_a_run_that_has_them(tmp_path):
    check_needs(tmp_path, NEEDS, [], ["-n"])
    for need in NEEDS.values():
        (tmp_path / need["path"]).mkdir(parents=True)
    check_needs(tmp_path, NEEDS, [], ["--cores", "2"])
