"""Manifests: the small JSON files by which stages vouch for what they wrote.

A manifest lists its payload (stores, checkpoints, reports) with a content digest each. Payload
paths are relative to the manifest's folder. Snakemake and DVC see a stage as done when its
manifest is there, so a manifest is written last, and in one piece.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import glob
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCHEMA = "spatialsv/1"
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux's renameat2


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What one job of one stage wrote."""

    stage: str
    payload: dict[str, str]  # path relative to the manifest's folder -> content digest
    counts: dict[str, int] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)  # provenance: versions, teacher, licence
    path: Path | None = None  # where it was read from

    def resolve(self, name: str) -> Path:
        """The payload file or folder `name` as a path."""
        if self.path is None:
            raise ValueError(f"this {self.stage} manifest was not read from a file")
        return self.path.parent / name

    def find(self, suffix: str) -> Path:
        """The one payload path that ends in `suffix`.

        Raises:
            ValueError: none or several do.
        """
        found = [name for name in self.payload if name.endswith(suffix)]
        if len(found) != 1:
            raise ValueError(
                f"{self.path}: expected one payload ending in {suffix!r}, found {found}"
            )
        return self.resolve(found[0])


def write_text(path: Path, text: str) -> None:
    """Write `text` under a temporary name, then rename: nobody reads half a file."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """As `write_text`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    temporary.write_bytes(content)
    temporary.replace(path)


def temporary_beside(path: Path) -> Path:
    """This process's name for what will become `path`; what killed ones left there is deleted.

    The name tells machine and process: of another machine's processes nobody here knows whether
    they still run, and what they left stays.
    """
    stem = f".{path.name}.{socket.gethostname()}."
    for left in path.parent.glob(f"{glob.escape(stem)}*"):
        if not _runs(left.name.removeprefix(stem)):
            delete(left)
    return path.with_name(f"{stem}{os.getpid()}")


def _runs(process: str) -> bool:
    """Whether a process of this number runs; what is no number is somebody else's name."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, PermissionError):
        return True
    return True


def delete(path: Path) -> None:
    """Delete a file, or a folder with all that is in it; another process may do so as well."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def in_one_piece(path: Path) -> Iterator[Path]:
    """A folder to fill, which then becomes `path`, in place of what was there.

    Whenever the process is killed, `path` is the old or the new one, whole.

    Raises:
        OSError: the disk is full, say; `path` is then what it was before.
    """
    temporary = temporary_beside(path)
    delete(temporary)
    try:
        yield temporary
        _put_in_place(temporary, path)
    except OSError as error:
        told = f"{error.strerror or error}; what was at this path before is untouched"
        raise OSError(error.errno, told, str(path)) from error
    finally:
        delete(temporary)


def _put_in_place(new: Path, path: Path) -> None:
    """Rename the folder `new` to `path`; what was there then has the name `new`."""
    try:
        new.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if not _exchanged(new, path):  # a kill between these two leaves none at `path`
            old = new.with_name(f"{new.name}.old")
            path.rename(old)
            new.rename(path)
            delete(old)


def _exchanged(one: Path, other: Path) -> bool:
    """Both names exchanged in one step, where system and file system can (Linux, not on NFS)."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    names = (AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other))
    return rename is not None and rename(*names, RENAME_EXCHANGE) == 0


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Hold the lock file `path`: others wait until it is free, as it is when its holder is killed.

    Gives: whether another process held it, and so may have done the work.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    waited = False
    while True:
        with path.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waited = True
                fcntl.flock(handle, fcntl.LOCK_EX)
            if not _is_at(handle.fileno(), path):  # its holder deleted it when it was done
                continue
            try:
                yield waited
            finally:
                path.unlink(missing_ok=True)
            return


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, in one piece."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def work_folder(folder: Path, identity: dict[str, Any]) -> Path:
    """The folder of a run's checkpoints, emptied if they are of a run that depends on other things.

    Args:
        identity: all that the run depends on, ready for JSON.
    """
    told, fresh = folder / "run.json", folder.with_name(f"{folder.name}.json")
    write_json(fresh, identity)
    if not told.is_file() or told.read_bytes() != fresh.read_bytes():
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    fresh.replace(told)
    return folder


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write `manifest` to `path`, after its payload is complete."""
    fields = ("stage", "payload", "counts", "config", "about")
    write_json(path, {"schema": SCHEMA} | {name: getattr(manifest, name) for name in fields})


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest and check that its payload is there.

    Raises:
        ValueError: `path` is missing, is no manifest, or vouches for a payload that is gone;
            the message names the command that makes it again.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such manifest; `snakemake --cores all {path}` makes it")
    try:
        record = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error}); delete it and run snakemake again") from None
    if not isinstance(record, Mapping) or record.get("schema") != SCHEMA:
        raise ValueError(f"{path}: not a {SCHEMA} manifest; delete it and run snakemake again")
    record = {key: value for key, value in record.items() if key != "schema"}
    manifest = Manifest(**record, path=path)
    for name in manifest.payload:
        if not (path.parent / name).exists():
            raise ValueError(
                f"{path.parent / name}: missing, though {path} vouches for it; "
                f"`snakemake --cores all --force {path}` makes it again"
            )
    return manifest


def prune(folder: Path, keep: Iterable[Path]) -> list[Path]:
    """Delete what lies in `folder` and is neither in `keep` nor vouched for by a manifest there.

    Args:
        folder: a stage's folder; it is walked.
        keep: manifests (their payload stays as well) and single files that stay.

    Returns: the deleted paths.
    """
    kept = set()
    for path in keep:
        kept.add(path.resolve())
        if path.suffix == ".json" and path.is_file():
            record = json.loads(path.read_text())
            if isinstance(record, Mapping) and record.get("schema") == SCHEMA:
                kept.update((path.parent / name).resolve() for name in record["payload"])
    return list(_prune(folder.resolve(), kept)) if folder.is_dir() else []


def _prune(folder: Path, kept: set[Path]) -> Iterable[Path]:
    for path in sorted(folder.iterdir()):
        if path in kept:
            continue
        if path.is_dir() and any(path in other.parents for other in kept):
            yield from _prune(path, kept)
        elif path.is_dir():
            shutil.rmtree(path)
            yield path
        else:
            path.unlink()
            yield path


def digest_bytes(*parts: bytes) -> str:
    """A short content digest (SHA-256, 16 hex digits) of `parts` in order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:16]


def digest_payloads(manifests: Sequence[Manifest]) -> str:
    """One digest of what all these manifests vouch for."""
    payloads = [f"{name}:{m.payload[name]}" for m in manifests for name in sorted(m.payload)]
    return digest_bytes("\n".join(payloads).encode())


def digest_path(path: Path) -> str:
    """The digest of a file, or of a folder's files and their names."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        if file != path:
            name = str(file.relative_to(path)).encode()
            digest.update(len(name).to_bytes(8, "little") + name)
        digest.update(file.stat().st_size.to_bytes(8, "little"))
        with file.open("rb") as opened:  # of a large checkpoint, never all at once
            hashlib.file_digest(opened, lambda: digest)
    return digest.hexdigest()[:16]
