"""Locks between processes, with and without `flock`."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from spatialsv.io.locks import exclusive_lock, try_lock

HOLDER = """
import sys, time
from pathlib import Path
if sys.argv[2]:
    import fcntl
    def flock(*arguments): raise OSError(int(sys.argv[2]), "No locks available")
    fcntl.flock = flock
from spatialsv.io.locks import try_lock
lock = try_lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture(params=[None, errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def missing(request, monkeypatch) -> int | None:
    """The error of `flock` where the file system has none."""

    def flock(*arguments: object) -> None:
        raise OSError(request.param, "No locks available")

    if request.param:
        monkeypatch.setattr(fcntl, "flock", flock)
    return request.param


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_a_lock_has_one_holder_and_a_killed_one_leaves_none(tmp_path: Path, missing):
    path = tmp_path / "folder/lock"
    command = [sys.executable, "-W", "ignore", "-c", HOLDER, str(path), str(missing or "")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert try_lock(path) is None
        holder.kill()
        holder.wait()
    with exclusive_lock(path) as waited:
        assert not waited and try_lock(path) is None
    lock = try_lock(path)
    assert lock is not None
    lock.release()


def test_other_errors_are_raised(tmp_path: Path, monkeypatch):
    def flock(*arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output error"):
        try_lock(tmp_path / "lock")
