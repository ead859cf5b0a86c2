"""Which scenes a model was taught: its train manifest has their digest, not their names."""

from __future__ import annotations

from pathlib import Path

from spatialsv.io.manifest import Manifest, digest_payloads, read_manifest
from spatialsv.model.checkpoint import resolve_model


def taught_scenes(model: str | Path) -> list[Path]:
    """The manifests of the training scenes, where they lie as the pipeline lays them.

    They are the first shards of data/scenes/train, as many as together have the digest that the
    train manifest data/train/BASE/ARM/SEED/manifest.json tells. None are found for what is no such
    manifest, or was taught other scenes.
    """
    trained = resolve_model(model).manifest
    if trained is None or len(parents := trained.path.resolve().parents) < 5:
        return []
    digest = trained.about.get("data", {}).get("scenes")
    found: list[Manifest] = []
    for shard in sorted((parents[4] / "scenes" / "train").glob("*.json")):
        found.append(read_manifest(shard))
        if digest_payloads(found) == digest:
            return [manifest.path for manifest in found if manifest.path]
    return []
