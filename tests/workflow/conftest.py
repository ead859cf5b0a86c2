"""A fresh copy of the repository for a test."""

from __future__ import annotations

from pathlib import Path

import pytest
from workflow_copy import Copy, make_copy


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A fresh copy, without data."""
    return make_copy(tmp_path)
