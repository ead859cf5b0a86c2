"""Both tools agree on what is stale, and `make pull` hands over artefacts that both know."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from helpers.workflow_copy import Copy

pytestmark = pytest.mark.xdist_group("workflow")


@pytest.fixture(scope="session")
def adopted(made: Copy, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """`made`, which DVC takes as done too, and pushed to a remote beside it."""
    root = tmp_path_factory.mktemp("adopted") / "copy"
    shutil.copytree(made.root, root)
    copy = Copy(root)
    found = copy.run(
        "sh",
        "-c",
        "git init -q && dvc commit --force --quiet"
        " && dvc remote add --quiet --default beside ../remote && dvc push --quiet",
    )
    assert found.returncode == 0, found.stdout
    return copy


@pytest.fixture
def done(adopted: Copy, tmp_path: Path) -> Copy:
    """A copy of `adopted` of one's own, to edit."""
    shutil.copytree(adopted.root, tmp_path / "copy")
    return Copy(tmp_path / "copy")


def stale(copy: Copy) -> set[str]:
    """The stages whose dependencies DVC finds changed; what follows from them is not told yet."""
    found = copy.run("dvc", "status", "--json")
    assert found.returncode == 0, found.stdout
    return set(json.loads(found.stdout))


def test_nothing_is_stale_under_either_tool(done):
    assert stale(done) == set()
    assert done.planned() == {}


CODE = "from __future__", "# edited\nfrom __future__"
DEFAULT, SMOKE = "workflow/config/default.yaml", "workflow/config/smoke.yaml"
ORDER = ["scenes", "labels", "pseudo", "train", "lift", "probe", "evaluate", "analysis", "report"]
TAUGHT = {"labels", "pseudo", "train", "lift"}  # what an arm's own settings say the jobs of
MEASURED = TAUGHT | {"probe", "evaluate"}
# An edit, what DVC finds changed, and the jobs with which Snakemake starts.
EDITS = [
    # `probe.causal` renders rooms
    ("src/spatialsv/rooms/render.py", *CODE, {"scenes", "probe"}, "scenes_shard"),
    ("src/spatialsv/labels/errors.py", *CODE, {"labels"}, "labels_shard"),
    ("src/spatialsv/pseudo/gate.py", *CODE, {"pseudo"}, "pseudo_shard"),
    ("src/spatialsv/losses/weighting.py", *CODE, {"train"}, "train_arm"),
    ("src/spatialsv/lift/measure.py", *CODE, {"lift"}, "lift_model"),
    ("src/spatialsv/probe/stage.py", *CODE, {"probe"}, "probe_model"),
    ("src/spatialsv/evaluate/config.py", *CODE, {"evaluate"}, "evaluate_model"),
    ("src/spatialsv/analysis/scores.py", *CODE, {"analysis"}, "analysis"),
    ("src/spatialsv/report/page.py", *CODE, {"report"}, "report"),
    (SMOKE, "test: 8}", "test: 16}", {"scenes"}, "scenes_shard"),
    (DEFAULT, "drop_percent: 0", "drop_percent: 1", {"labels", "pseudo"}, "labels_shard"),
    (DEFAULT, "seeds: [0]", "seeds: [0, 1]", {"train"}, "train_arm"),
    # An arm that exists already is measured too, and one that takes labels of its own is taught.
    (SMOKE, "evaluate: [base, ", "evaluate: [base, geometry_exact, ", MEASURED, "labels_shard"),
    (DEFAULT, "  spatialsv: {distill: true, ", "  spatialsv: {", TAUGHT, "train_arm"),
    (SMOKE, "  steps: 2", "  steps: 3", {"train"}, "train_arm"),
    (SMOKE, "fit: {steps: 4}", "fit: {steps: 5}", {"probe"}, "probe_model"),
]


@pytest.mark.parametrize(("path", "old", "new", "changed", "rule"), EDITS)
def test_an_edit_is_noticed_by_both_tools_and_redoes_nothing_before_it(
    done, path, old, new, changed, rule
):
    done.edit(path, old, new)
    assert stale(done) == changed
    jobs = done.planned()
    assert rule in jobs
    assert "report" in jobs
    before = ORDER[: ORDER.index(rule.split("_")[0])]
    assert not [job for job in jobs if job.split("_")[0] in before]


def test_a_clone_that_pulled_has_nothing_to_do_and_notices_a_later_edit(adopted, tmp_path):
    clone = Copy(tmp_path / "copy")
    away = shutil.ignore_patterns("data", ".snakemake", "cache", "tmp")
    shutil.copytree(adopted.root, clone.root, ignore=away)
    clone.run("dvc", "remote", "modify", "beside", "url", str(adopted.root.parent / "remote"))
    stamp = clone.root / ".venv/run.stamp"  # the tools are those of this test
    stamp.parent.mkdir()
    stamp.touch()
    pulled = clone.run("make", "pull")
    assert pulled.returncode == 0, pulled.stdout
    assert (stale(clone), clone.planned()) == (set(), {})
    clone.edit("src/spatialsv/evaluate/config.py", *CODE)
    assert stale(clone) == {"evaluate"}
    assert clone.planned() == {"evaluate_model": 6, "gather": 1, "analysis": 1, "report": 1}
