"""Which weights a checkpoint's folder holds: told by their content, not by what they are called."""

from __future__ import annotations

import hashlib
from pathlib import Path

WEIGHTS = ("*.safetensors", "*.pt")


def weights_digest(folder: Path) -> str:
    """The SHA-256, cut to 16 digits, of the folder's files of weights, in their names' order.

    Raises:
        ValueError: it holds none.
    """
    files = sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))
    if not files:
        raise ValueError(f"{folder}: no weights (*.safetensors) in this folder")
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"weights {digest.hexdigest()[:16]}"
