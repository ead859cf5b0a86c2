"""Long lists of paths in commands, passed by file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

# The system limits one argument to 128 KiB, and `bash -c` takes a job's command as one.
MAX_CHARACTERS = 8000
LISTS = ".snakemake/lists"


def as_words(root: Path, items: Iterable[str]) -> list[str]:
    """Return the words of a command that stand for a list: itself, or `@FILE` where it is long.

    Args:
        root: the repository.
        items: the list.

    Returns:
        The items, or one word that names a file of `LISTS`. Equal lists have the same file.
    """
    items = list(items)
    if sum(map(len, items)) <= MAX_CHARACTERS:
        return items
    text = json.dumps(items)
    path = f"{LISTS}/{sha256(text.encode()).hexdigest()[:16]}.json"
    if not (root / path).is_file():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return [f"@{path}"]
