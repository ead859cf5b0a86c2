"""Locks between processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def exclusive_lock(path: Path) -> Iterator[bool]:
    """Hold the lock file `path`, waiting while another process holds it.

    The lock is released when its holder exits, also if it is killed.

    Args:
        path: the lock file; missing parent directories are created.

    Yields:
        Whether another process held the lock, and so may have done the same work.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
        waited = False
    except Timeout:
        lock.acquire()
        waited = True
    try:
        yield waited
    finally:
        path.unlink(missing_ok=True)
        lock.release()
