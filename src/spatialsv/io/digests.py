"""Content digests: the first 16 hex digits of a SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path


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
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        if file != path:
            name = str(file.relative_to(path)).encode()
            digest.update(len(name).to_bytes(8, "little") + name)
        digest.update(file.stat().st_size.to_bytes(8, "little"))
        with file.open("rb") as opened:  # read in blocks: checkpoints are large
            hashlib.file_digest(opened, lambda: digest)
    return digest.hexdigest()[:16]
