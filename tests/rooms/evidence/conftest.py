"""Rooms with two free cameras, and the candidate questions about them."""

from __future__ import annotations

import pytest

from helpers.view_pairs import render_pairs
from spatialsv.rooms.evidence import ViewPairs, cross_view_candidates


@pytest.fixture(scope="session")
def pairs() -> ViewPairs:
    """Enough rooms for questions and their gates."""
    return render_pairs(range(300))


@pytest.fixture(scope="session")
def candidates(pairs):
    """All cross-view candidates."""
    return cross_view_candidates(pairs, 0)
