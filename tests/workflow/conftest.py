"""Copies of the repository for tests: a fresh one, and one whose artefacts are taken as made."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.workflow_copy import Copy, make_copy


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A fresh copy, without data."""
    return make_copy(tmp_path)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy in which Snakemake takes the smoke run as done; no stage reads its manifests here."""
    copy = make_copy(tmp_path_factory.mktemp("made"))
    copy.edit("workflow/config/run.yaml", "overlay: default", "overlay: smoke")
    copy.adopt()
    return copy
