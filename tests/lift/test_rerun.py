import subprocess
import sys

import pytest

from spatialsv.lift.result import check_rerun, write_rrd


def test_the_recording_is_whole_and_holds_all_views(result, cloud, tmp_path):
    pytest.importorskip("rerun")
    check_rerun()
    path = tmp_path / "scene.rrd"
    write_rrd(path, result, cloud)
    tool = [sys.executable, "-m", "rerun", "rrd"]
    verified = subprocess.run([*tool, "verify", path], capture_output=True, text=True)
    assert verified.returncode == 0, verified.stderr
    printed = subprocess.run([*tool, "print", path], capture_output=True, text=True).stdout
    for entity in (
        "/world/points",
        *(f"/world/{n}/{m}" for n in result.names for m in ("image", "depth")),
    ):
        assert entity in printed


def test_without_rerun_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(ValueError, match=r"pip install 'spatialsv\[rerun\]'"):
        check_rerun()
