"""A stage's own manifest, over those of its jobs; what no job vouches for any more is deleted."""

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
) -> None:
    """Write the manifest of `stage` to `out` and clear its folder of leftovers.

    A dropped shard, arm or seed would otherwise be versioned with the stage for ever.

    Args:
        manifests: those of all jobs of the stage; they lie below the folder of `out`.
        spare: others that stay, with what they vouch for, where they exist.
        within: the folder to clear; that of `out` if not given.

    Raises:
        ValueError: a manifest belongs to another stage or vouches for a payload that is gone.
    """
    counts: Counter[str] = Counter(manifests=len(manifests))
    for path in manifests:
        record = read_manifest(path)
        if record.stage != stage:
            raise ValueError(f"{path}: a manifest of stage {record.stage!r}, not of {stage!r}")
        counts.update(record.counts)
    for path in prune(within or out.parent, [*manifests, *spare, out]):
        print(f"deleted {path}: no manifest of {stage} lists it", file=sys.stderr)
    payload = {str(path.relative_to(out.parent)): digest_path(path) for path in manifests}
    write_manifest(out, Manifest(stage=stage, payload=payload, counts=dict(counts)))
