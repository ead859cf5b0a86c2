"""Every name leads to a benchmark; the command line takes each."""

from __future__ import annotations

import pytest

from spatialsv.benchmarks.catalogue import NAMES, find_benchmark


@pytest.mark.parametrize("name", NAMES)
def test_a_name_leads_to_a_benchmark_of_its_own(name, tmp_path):
    known = find_benchmark(name)
    assert known.title and known.protocols
    with pytest.raises(ValueError, match=r"expected .*found nothing"):
        known.load(tmp_path / "empty")


def test_an_unknown_name_is_refused():
    with pytest.raises(
        ValueError, match=r"Unknown benchmark 'juggling'\. Known benchmarks: rooms, questions, "
    ):
        find_benchmark("juggling")
