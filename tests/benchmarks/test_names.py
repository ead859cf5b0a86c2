"""Every name leads to a benchmark; the command line takes each."""

from __future__ import annotations

import pytest

from spatialsv.benchmarks.names import NAMES, benchmark


@pytest.mark.parametrize("name", NAMES)
def test_a_name_leads_to_a_benchmark_of_its_own(name, tmp_path):
    known = benchmark(name)
    assert known.title and known.scorers
    with pytest.raises(ValueError, match=r"expected .*found nothing"):
        known.load(tmp_path / "empty")


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="no benchmark 'juggling'; known: vsi_bench, "):
        benchmark("juggling")
