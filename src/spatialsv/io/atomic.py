"""Atomic writes: a reader sees the old file or directory or the new one, never a partial one."""

from __future__ import annotations

import ctypes
import errno
import glob
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spatialsv.io.jobs import check_request

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux's renameat2


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, creating missing parent directories."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically, creating missing parent directories.

    Raises:
        ValueError: a later run of the workflow replaced this job's request; `path` is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        temporary.write_bytes(content)
        check_request()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` atomically as indented JSON with sorted keys."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield an empty directory that replaces `path` when the block exits without an error.

    If the process is killed at any time, `path` holds either its old or its new content.

    Args:
        path: the directory to create or to replace.

    Yields:
        A temporary directory, not created yet, in the same parent directory.

    Raises:
        OSError: writing failed, for example on a full disk; `path` is unchanged.
        ValueError: a later run of the workflow replaced this job's request; `path` is unchanged.
    """
    temporary = temporary_path(path)
    delete(temporary)
    try:
        yield temporary
        check_request()
        _move_into_place(temporary, path)
    except OSError as error:
        message = f"{error.strerror or error}; the previous content is unchanged"
        raise OSError(error.errno, message, str(path)) from error
    finally:
        delete(temporary)


def temporary_path(path: Path) -> Path:
    """Return this process's temporary name for `path`, after removing those of dead processes.

    The name contains the host and the process id. Leftovers of other hosts stay, because their
    processes cannot be checked from here.
    """
    stem = f".{path.name}.{socket.gethostname()}."
    for leftover in path.parent.glob(f"{glob.escape(stem)}*"):
        if not _is_running(leftover.name.removeprefix(stem)):
            delete(leftover)
    return path.with_name(f"{stem}{os.getpid()}")


def delete(path: Path) -> None:
    """Delete a file or a directory tree; another process may delete it as well."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_running(process: str) -> bool:
    """Return whether a process with this id runs; assume so if the text is not a process id."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, PermissionError):
        return True
    return True


def _move_into_place(new: Path, path: Path) -> None:
    """Rename the directory `new` to `path`; an existing directory takes the name `new`."""
    try:
        new.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if not _exchange(new, path):  # a kill between these two renames leaves nothing at `path`
            old = new.with_name(f"{new.name}.old")
            path.rename(old)
            new.rename(path)
            delete(old)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one system call; False where that is not supported (NFS, not Linux)."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    names = (AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other))
    return rename is not None and rename(*names, RENAME_EXCHANGE) == 0
