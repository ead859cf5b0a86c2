"""Which scenes a model was taught: its train manifest has their digest, not their names."""

from __future__ import annotations

from pathlib import Path

from spatialsv.manifest import Manifest, digest_payloads, read_manifest


def taught_scenes(model: str | Path) -> list[Path]:
    """The manifests of the training scenes, where they lie as the pipeline lays them.

    They are the first shards of data/scenes/train, as many as together have the digest that the
    train manifest data/train/BASE/ARM/SEED/manifest.json tells. None are found for what is no such
    manifest, or was taught other scenes.
    """
    path = Path(model).resolve()
    if (path / "mllm").is_dir() and (path / "manifest.json").is_file():  # a training job's folder
        path /= "manifest.json"
    if path.suffix != ".json" or len(path.parents) < 5:
        return []
    digest = read_manifest(path).about.get("data", {}).get("scenes")
    found: list[Manifest] = []
    for shard in sorted((path.parents[4] / "scenes" / "train").glob("*.json")):
        found.append(read_manifest(shard))
        if digest_payloads(found) == digest:
            return [manifest.path for manifest in found if manifest.path]
    return []
