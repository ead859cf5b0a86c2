"""The finished run, analysed."""

import pytest

from helpers.finished_run import finished_run  # noqa: F401
from spatialsv.analysis import AnalysisConfig, run

RESAMPLES = 100


@pytest.fixture(scope="session")
def analysed(tmp_path_factory, finished_run):  # noqa: F811
    """The manifest of the stage `analysis` on the finished run."""
    out = tmp_path_factory.mktemp("analysis") / "manifest.json"
    stages = {name: paths for name, paths in finished_run.items() if name != "timings"}
    run(**stages, config=AnalysisConfig(resamples=RESAMPLES), out=out)
    return out
