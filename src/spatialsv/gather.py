"""A stage's own manifest over those of its jobs; files that none of them lists are deleted."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.io.prune import prune


def gather(
    stage: str,
    manifests: Sequence[Path],
    out: Path,
    spare: Sequence[Path] = (),
    within: Path | None = None,
) -> Manifest:
    """Write the manifest of a stage and delete files that no job lists.

    Files of a dropped shard, arm or seed would otherwise be versioned with the stage for ever.

    Args:
        stage: name of the stage.
        manifests: manifests of all jobs of the stage, below the folder of `out`.
        out: manifest to write.
        spare: manifests to keep, with their payload, where they exist.
        within: folder to clear; the folder of `out` if not given.

    Returns:
        The manifest.

    Raises:
        ValueError: a manifest belongs to another stage, or its payload is missing.
    """
    counts: Counter[str] = Counter(manifests=len(manifests))
    for path in manifests:
        record = read_manifest(path)
        if record.stage != stage:
            raise ValueError(
                f"{path}: expected a manifest of {stage}, found one of {record.stage}."
            )
        counts.update(record.counts)
    for path in prune(within or out.parent, [*manifests, *spare, out]):
        print(f"Deleted {path}: no manifest of {stage} lists it.", file=sys.stderr)
    payload = {str(path.relative_to(out.parent)): digest_path(path) for path in manifests}
    return write_manifest(out, Manifest(stage=stage, payload=payload, counts=dict(counts)))
