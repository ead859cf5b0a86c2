"""Locks between processes."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

# Of `flock` on file systems without locks, such as NFS without a lock daemon.
UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
POLL_SECONDS = 0.05


@contextmanager
def exclusive_lock(path: Path) -> Iterator[bool]:
    """Hold the lock file `path`, waiting while another process holds it.

    The lock is released when its holder exits, also if it is killed.

    Args:
        path: the lock file; missing parent directories are created.

    Yields:
        Whether another process held the lock, and so may have done the same work.
    """
    lock = try_lock(path)
    waited = lock is None
    while lock is None:
        time.sleep(POLL_SECONDS)
        lock = try_lock(path)
    try:
        yield waited
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def try_lock(path: Path) -> BaseFileLock | None:
    """Return the lock of the file `path`, held, or None where another process holds it.

    A file system without `flock` gets a lock that is a file with the holder's host and process. A
    process that is killed leaves it behind; the next process on the same host removes it.

    Args:
        path: the lock file; missing parent directories are created.

    Raises:
        OSError: the lock file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _try(FileLock(path))
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return _try(SoftFileLock(path.with_name(f"{path.name}.held")))


def _try(lock: BaseFileLock) -> BaseFileLock | None:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock
