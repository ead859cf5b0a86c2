"""Do answers use the geometry in visual states? The command `spatialsv causal`.

The model answers questions across two free views of rooms. Then visual states are changed and the
answer is read again; see `causal.measure`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spatialsv.config import from_mapping, to_mapping
from spatialsv.io.atomic import write_json
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.spatialsv import SpatialSV, load_spatialsv
from spatialsv.probe.causal.counterfactuals import make_counterfactuals
from spatialsv.probe.causal.measure import CausalConfig, Interventions
from spatialsv.probe.states import evenly_spaced_taps, load_frozen
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.views import render_views

FILE = "causal.json"
PRESENT = 0.5  # minimum share of the second camera's position that probe or heads explain
USED = 0.1  # minimum effect of an edit of geometry, with an interval above 0


def run(
    model: Path,
    scenes: Sequence[Path],
    test_scenes: Sequence[Path],
    config: CausalConfig,
    out: Path,
    family: str | None = None,
) -> Manifest:
    """Change visual states and measure whether answers follow; write causal.json and a manifest.

    Args:
        model: train manifest, or folder with mllm/ or of a checkpoint
        scenes: manifests of training rooms, to fit the probes
        test_scenes: manifests of the rooms that questions are about
        config: settings
        out: manifest to write; its payload goes into the same folder
        family: MODULE:CLASS of an MLLM adapter outside this package; its code is executed

    Returns:
        The manifest.

    Raises:
        ValueError: manifests of other scenes than rooms with two free views, too few rooms, or a
            layer that the model does not have.
    """
    record, counts = measure_use(model, scenes, test_scenes, config, family)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out.parent / FILE, record)
    manifest = Manifest(
        stage="causal",
        payload={FILE: digest_path(out.parent / FILE)},
        counts=counts,
        config=to_mapping(config),
        about={"model": str(model), "conclusion": record["conclusion"]},
    )
    return write_manifest(out, manifest)


def measure_use(
    model: Path,
    scenes: Sequence[Path],
    test_scenes: Sequence[Path],
    config: CausalConfig,
    family: str | None = None,
) -> tuple[dict[str, Any], dict[str, int]]:
    """Change visual states and measure whether answers follow; see `run`.

    Returns:
        The content of causal.json, and the number of questions of each kind of counterfactual.

    Raises:
        ValueError: as `run`.
    """
    train_seeds, rooms = _rooms_of(scenes)
    test_seeds, test_rooms = _rooms_of(test_scenes)
    if test_rooms != rooms:
        raise ValueError("Training and test rooms have different settings `scenes.rooms`.")
    frozen = _load(model, config.seed, family)
    layers = config.layers or (0, *evenly_spaced_taps(frozen.mllm)[:3])
    _, train = render_views(train_seeds[: config.max_scenes], rooms)
    made = make_counterfactuals(test_seeds, rooms, config.questions, config.seed)
    measured = Interventions(frozen, train, made, layers, config)
    rows = [*measured.swaps(), *measured.edits()]
    explained = {str(key): value for key, value in measured.explained.items()}
    record = {
        "layers": list(layers),
        "explained": explained,
        "interventions": rows,
        "conclusion": conclude(explained, rows),
    }
    return record, {"swap": len(made.swap), "pose": len(made.pose)}


def conclude(
    explained: Mapping[str, Mapping[str, float]], rows: Sequence[Mapping[str, Any]]
) -> str:
    """Return whether the second camera's pose is `absent`, `unused` or `used`.

    Args:
        explained: R^2 of the second camera's position on test rooms, by layer, and of the heads.
        rows: the interventions.

    Returns:
        absent: probes and heads explain less than PRESENT of the position. used: the effect of an
        edit by probe or heads over all tasks is at least USED, and its interval, corrected for
        the number of edits, is above 0. unused: neither.
    """
    if max(one["position"] for one in explained.values()) < PRESENT:
        return "absent"
    edits = [row for row in rows if row["kind"] in ("pose", "heads") and row["task"] == "all"]
    is_used = any(row["effect"] >= USED and (row["low"] or 0) > 0 for row in edits)
    return "used" if is_used else "unused"


def _load(model: Path, seed: int, family: str | None) -> SpatialSV:
    """Load a model, with its heads if there are any; nothing is trained."""
    reference = resolve_model(model)
    if not reference.has_heads:
        return load_frozen(model, random_weights=False, seed=seed, family=family)
    frozen = load_spatialsv(reference.folder, family=family)
    return frozen.requires_grad_(False)


def _rooms_of(manifests: Sequence[Path]) -> tuple[list[int], RoomsConfig]:
    """Return the seeds and the settings of rendered rooms."""
    seeds: list[int] = []
    configs = []
    for path in manifests:
        manifest = read_manifest(path)
        if "seeds" not in manifest.about or "rooms" not in manifest.config:
            raise ValueError(f"{path}: expected a shard of rooms, written by `spatialsv scenes`.")
        seeds += range(*manifest.about["seeds"])
        configs.append(from_mapping(RoomsConfig, manifest.config["rooms"], f"{path}: rooms"))
    if not configs or any(one != configs[0] for one in configs):
        raise ValueError("Expected shards of rooms with the same settings `scenes.rooms`.")
    if configs[0].views != 2 or configs[0].motions != ("free",):
        raise ValueError(
            "Interventions need rooms with two free views: rooms.views 2, rooms.motions [free]."
        )
    return seeds, configs[0]
