"""Manifests say what is current, whatever Snakemake recorded."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import provenance
from helpers.workflow_copy import Copy
from provenance import (
    adopt,
    command_digest,
    find_differences,
    replace_records,
    request_of,
    write_requests,
)
from spatialsv.io.digests import digest_bytes

pytestmark = pytest.mark.xdist_group("workflow")


@pytest.fixture(autouse=True)
def fresh_digests():
    provenance._digest.cache_clear()


def make_job(code: str = "c", steps: int = 3, inputs: tuple[str, ...] = ("data/in.json",)):
    """What the module reads of a job of Snakemake's."""
    return SimpleNamespace(
        rule=SimpleNamespace(shellcmd="train {params.steps:q}"),
        params={"code": code, "steps": steps},
        input=list(inputs),
        output=SimpleNamespace(manifest="data/out.json"),
        shellcmd=f"spatialsv train --steps {steps} --out data/out.json 2>&1 | tee log",
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A clone in which the job is made."""
    (tmp_path / "data").mkdir()
    for name in ("in", "more", "out"):
        (tmp_path / f"data/{name}.json").write_text('{"payload": {}}\n')
    adopt(tmp_path, [make_job()])
    return tmp_path


def test_settings_code_and_inputs_are_compared(root):
    assert find_differences(root, make_job()) == {}
    assert find_differences(root, make_job(code="d")) == {"code": ("c", "d")}
    assert find_differences(root, make_job(steps=4)).keys() == {"settings"}
    more = make_job(inputs=("data/in.json", "data/more.json"))
    assert find_differences(root, more).keys() == {"data/more.json"}
    (root / "data/in.json").write_text("{}")
    provenance._digest.cache_clear()
    assert find_differences(root, make_job()).keys() == {"data/in.json"}


def test_inputs_that_only_the_command_named_count_unless_they_are_below_data(root):
    path = root / "data/out.json"
    record = json.loads(path.read_text())
    (root / "external").mkdir()
    record["made_from"]["inputs"] |= {"external": "old", "data": "old", "gone": "old"}
    path.write_text(json.dumps(record))
    assert find_differences(root, make_job()).keys() == {"external"}


@pytest.mark.parametrize("text", ["{}", "[]", "", '{"made_from": {"inputs": {}}}'])
def test_a_manifest_that_does_not_say_what_it_was_made_from_is_not_current(root, text):
    (root / "data/out.json").write_text(text)
    assert find_differences(root, make_job()).keys() == {"settings", "code", "data/in.json"}


def test_a_missing_manifest_is_snakemakes_concern(root):
    (root / "data/out.json").unlink()
    assert find_differences(root, make_job()) == {}


def test_a_request_is_replaced_only_by_another(root):
    path = root / ".snakemake/jobs/data/out.json"
    write_requests(root, [make_job()])
    first = path.stat().st_ino
    command = digest_bytes(*map(os.fsencode, ("train", "--steps", "3", "--out", "data/out.json")))
    assert json.loads(path.read_text()) == request_of(make_job()) | {"command": command}
    write_requests(root, [make_job()])
    assert path.stat().st_ino == first
    write_requests(root, [make_job(steps=4)])
    assert json.loads(path.read_text()).items() >= request_of(make_job(steps=4)).items()


def test_the_words_of_a_command_are_those_that_the_job_gets():
    words = ["train", "--config", "{'a': \"$(b)\"}", "--out", "data/x y.json"]
    digest = digest_bytes(*map(os.fsencode, words))
    for program in ("spatialsv", "torchrun --standalone -m spatialsv.cli"):
        assert command_digest(f"{program}  {shlex.join(words)} > 'a b' 2>&1") == digest


def test_another_snakemake_is_an_error():
    with pytest.raises(RuntimeError, match="no has_metadata in its records"):
        replace_records(SimpleNamespace(PersistenceBase=object), Path(), lambda: None)


@pytest.fixture
def smoke(made: Copy, tmp_path: Path) -> Copy:
    """A copy of `made` of one's own, without what Snakemake recorded."""
    shutil.copytree(made.root, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy/.snakemake")
    return Copy(tmp_path / "copy")


PROBED = {"probe_model": 1, "gather": 1, "analysis": 1, "report": 1}


def test_without_records_nothing_is_redone_and_an_edit_is_noticed(smoke):
    for path in sorted((smoke.root / "data").rglob("*.json"))[::2]:
        path.touch()  # as after `dvc pull`
    assert smoke.planned() == {}
    smoke.edit("workflow/config/smoke.yaml", "fit: {steps: 4}", "fit: {steps: 5}")
    assert smoke.planned() == PROBED
    told = smoke.snakemake("-n", "--quiet", "host").stdout
    assert "before: settings " in told and "now: settings " in told


def test_a_job_that_ended_after_snakemake_with_another_setting_is_redone(smoke):
    """Its manifest is newer than all others, and Snakemake recorded nothing."""
    path = smoke.root / "data/probe/rooms/spatialsv/0/manifest.json"
    record = json.loads(path.read_text())
    record["made_from"]["settings"] = "0" * 16
    path.write_text(json.dumps(record))
    assert smoke.planned() == PROBED


def test_what_a_job_read_is_compared_not_when(smoke):
    path = smoke.root / "data/train/rooms/spatialsv/0/manifest.json"
    old = path.stat()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"payload": {"x": "0"}}))
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    jobs = smoke.planned()
    assert {"lift_model", "probe_model", "evaluate_model"} <= jobs.keys()
    assert "train_arm" not in jobs
