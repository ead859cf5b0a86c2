"""The scenes that a model was trained on: its train manifest has their digest, not their names."""

from __future__ import annotations

from pathlib import Path

from spatialsv.io.manifest import Manifest, digest_payloads, read_manifest
from spatialsv.model.checkpoint import resolve_model


def training_scenes(model: str | Path) -> list[Path]:
    """Find the manifests of a model's training scenes in the pipeline's own layout.

    They are the first shards of data/scenes/train, as many as together have the digest in the train
    manifest data/train/BASE/ARM/SEED/manifest.json.

    Args:
        model: as `resolve_model` takes it.

    Returns:
        The manifests; none where `model` has no such train manifest, or the scenes have changed.
    """
    manifest = resolve_model(model).manifest
    if manifest is None or manifest.path is None:
        return []
    parents = manifest.path.resolve().parents
    if len(parents) < 5:
        return []
    digest = manifest.about.get("data", {}).get("scenes")
    shards: list[Manifest] = []
    for path in sorted((parents[4] / "scenes" / "train").glob("*.json")):
        shards.append(read_manifest(path))
        if digest_payloads(shards) == digest:
            return [shard.path for shard in shards if shard.path]
    return []
