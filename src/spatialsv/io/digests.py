"""Content digests: the first 16 hex digits of a SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path

WEIGHT_FILES = ("*.safetensors", "*.pt")


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
