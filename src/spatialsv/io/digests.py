"""Content digests: the first 16 hex digits of a SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from spatialsv.io.atomic import write_json

WEIGHT_FILES = ("*.safetensors", "*.pt")
SMALL = 2**20  # bytes; reading less is as fast as looking the digest up
_digests: dict[Path, tuple[str, str]] = {}  # path -> version and digest


def digest_bytes(*parts: bytes) -> str:
    """Return the digest of `parts`, in order and with their boundaries."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:16]


def digest_path(path: Path) -> str:
    """Return the digest of a file, or of the names and contents of a directory's files."""
    digest = hashlib.sha256()
    for file in _files(path):
        if file != path:
            name = str(file.relative_to(path)).encode()
            digest.update(len(name).to_bytes(8, "little") + name)
        digest.update(file.stat().st_size.to_bytes(8, "little"))
        with file.open("rb") as opened:  # read in blocks: checkpoints are large
            hashlib.file_digest(opened, lambda: digest)
    return digest.hexdigest()[:16]


def cached_digest(path: Path) -> str:
    """Return `digest_path(path)`, computed once for each version of the files.

    A version is the files' names, inodes, sizes and times of modification. Digests are kept in
    this process and in the user's cache, one small file a path, so that processes do not interfere.
    """
    path = path.resolve()
    version = _version(path)
    if (known := _digests.get(path)) and known[0] == version:
        return known[1]
    record = user_cache("digests") / f"{digest_bytes(os.fsencode(path))}.json"
    with suppress(OSError, ValueError):  # no such record, or one of an interrupted machine
        found = json.loads(record.read_text())
        if isinstance(found, list) and found[:1] == [version] and len(found) == 2:
            _digests[path] = version, str(found[1])
            return str(found[1])
    digest = digest_path(path)
    if _version(path) == version:
        _digests[path] = version, digest
        with suppress(OSError):  # a home without write permission
            write_json(record, [version, digest])
    return digest


def digest_input(path: Path) -> str:
    """Return a digest of an input: of a file's content, or of the names and sizes below a folder.

    A folder of images or of a checkpoint may hold terabytes, of which the content is not read. The
    folder of a job counts by its manifest.

    Args:
        path: a file or folder, which need not exist.

    Returns:
        16 hexadecimal digits, or "" where there is nothing.
    """
    if (path / "manifest.json").is_file():
        path /= "manifest.json"
    if path.is_file():
        small = path.stat().st_size <= SMALL
        return digest_path(path) if small else cached_digest(path)
    names = [f"{file.relative_to(path)}\0{file.stat().st_size}" for file in _files(path)]
    return digest_bytes("\0".join(names).encode()) if path.is_dir() else ""


def user_cache(name: str) -> Path:
    """Return the folder `name` of this package in the user's cache, which need not exist."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "spatialsv" / name


def _files(path: Path) -> list[Path]:
    """Return a path's files: itself, or those below a folder."""
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def _version(path: Path) -> str:
    """Return a digest of the names, inodes, sizes and times of modification of a path's files."""
    stats = [(str(file), file.stat()) for file in _files(path)]
    texts = [f"{name}\0{s.st_ino}\0{s.st_size}\0{s.st_mtime_ns}" for name, s in stats]
    return digest_bytes(*map(os.fsencode, texts))


def digest_weights(folder: Path) -> str:
    """Return "weights " and the digest of a checkpoint's weight files, whatever they are called.

    Args:
        folder: Directory with `*.safetensors` or `*.pt` files, read in name order.

    Raises:
        ValueError: The directory has no such file.
    """
    files = sorted(path for pattern in WEIGHT_FILES for path in folder.glob(pattern))
    if not files:
        raise ValueError(f"{folder}: no weights found. Expected *.safetensors or *.pt files.")
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"weights {digest.hexdigest()[:16]}"
