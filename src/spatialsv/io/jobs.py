"""Jobs of the workflow: what one was requested to make, and when it must stop.

The workflow writes a request for each job, a small JSON file with the digests of the job's settings
and code and the paths of its inputs, and replaces it when a later run requests something else. The
job records the request in its manifest, and writes nothing once the request is replaced. A job
also ends when the Snakemake process that started it has ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARENT = "SPATIALSV_PARENT"  # environment variable: the `process_token` of the workflow's process
POLL_SECONDS = 0.2
_requests: list[tuple[Path, bytes]] = []  # of the job that this process runs, as it started


@contextmanager
def requested_job(path: Path, command: str) -> Iterator[dict[str, Any]]:
    """Run the block as the job of a request.

    Args:
        path: the request's file.
        command: digest of the words of this command.

    Yields:
        `settings` and `code`, digests, and `inputs`, a list of paths.

    Raises:
        ValueError: the file is not a request, or requests another command.
    """
    content = path.read_bytes()
    try:
        request = dict(json.loads(content))
        requested = request.pop("command")
        valid = request.keys() == {"settings", "code", "inputs"}
    except (ValueError, TypeError, KeyError):
        valid = False
    if not valid:
        raise ValueError(f"{path}: not a job's request. Run snakemake, which writes it.")
    if requested != command:
        raise ValueError(
            f"{path}: requests another command than this one, as settings were changed after the"
            " job was submitted. Run snakemake again."
        )
    if parent := os.environ.get(PARENT):
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _requests.append((path, content))
    try:
        yield request
    finally:
        _requests.pop()


def check_request() -> None:
    """Refuse to write what is no longer requested; a command that was run by hand may write.

    Raises:
        ValueError: a later run of the workflow replaced this job's request.
    """
    for path, content in _requests:
        if not path.is_file() or path.read_bytes() != content:
            raise ValueError(
                f"{path}: a later run replaced the request of this job, which therefore stops."
                " Nothing was overwritten, and the later run makes the result."
            )


def process_token(pid: int) -> str:
    """Return the id of a process and when it started, so that a reused id is another token."""
    try:
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:  # not Linux, or the process has ended
        started = ""
    return f"{pid} {started}"


def _end_with(parent: str) -> None:
    """Kill this process, as a crash would, once the process of the token `parent` has ended."""
    pid = int(parent.split()[0])
    while process_token(pid) == parent and _exists(pid):
        time.sleep(POLL_SECONDS)
    print(f"The workflow (process {pid}) has ended, and so does this job.", file=sys.stderr)
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
