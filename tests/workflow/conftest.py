"""Copies of the repository for tests: a fresh one, and one whose artefacts are taken as made."""

from __future__ import annotations

from pathlib import Path

import pytest
from workflow_copy import Copy, make_copy


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A fresh copy, without data."""
    return make_copy(tmp_path)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy in which Snakemake takes the smoke run as done; no stage reads its manifests here."""
    copy = make_copy(tmp_path_factory.mktemp("made"))
    copy.edit("workflow/config/run.yaml", "overlay: default", "overlay: smoke")
    found = copy.snakemake("--summary")
    assert found.returncode == 0, found.stdout
    for line in found.stdout.splitlines():
        if line.startswith("data/"):
            path = copy.root / line.split("\t")[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}\n")
    adopted = copy.run("snakemake", "--cores", "1", "--touch", "--forceall", "all")
    assert adopted.returncode == 0, adopted.stdout
    return copy
