"""The manifests of a training job as the pools of samples that its arm learns from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatialsv.manifest import Manifest, digest_bytes, read_manifest
from spatialsv.samples.dataset import Pools, SamplesConfig, SceneDataset
from spatialsv.samples.sampler import BatchSampler
from spatialsv.scenes.rooms.question import Question, read_questions
from spatialsv.scenes.scene import Scenes, stack
from spatialsv.scenes.store import read_store
from spatialsv.train.config import ArmConfig, TrainConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """What one arm learns from, and what its heads must fit."""

    pools: Pools
    text: int  # samples with questions
    spatial: int  # samples of images only
    feature_channels: int | None  # the teacher's, where the arm distils
    digests: dict[str, str]  # of scenes, labels and pseudo labels

    def sampler(self, config: TrainConfig, batches: int, seed: int) -> BatchSampler:
        """The batches of a whole run."""
        mixed = config.spatial_share if self.text else 1.0
        return BatchSampler(
            text=self.text,
            spatial=self.spatial,
            spatial_share=mixed if self.spatial else 0.0,
            batch_size=config.batch_size,
            batches=batches,
            seed=seed,
        )


def load_data(
    name: str,
    arm: ArmConfig,
    config: TrainConfig,
    processor: Any,
    seed: int,
    scenes: Sequence[Path],
    labels: Sequence[Path],
    pseudo: Sequence[Path],
) -> TrainingData:
    """Read and check everything, so that a mistake shows before the first step.

    Raises:
        ValueError: no scenes, no questions, labels that the arm needs and that are missing, do not
            belong to the scenes or lack features; the message names the arm and the remedy.
    """
    manifests = {
        "scenes": _read(scenes),
        "labels": _read(labels) if arm.geometry else [],
        "pseudo": _read(pseudo) if arm.pseudo else [],
    }
    if not manifests["scenes"]:
        raise ValueError(f"arm {name!r}: no scenes manifests given")
    if arm.geometry and not manifests["labels"]:
        raise ValueError(f"arm {name!r} learns geometry: pass the labels manifests of its scenes")
    if arm.pseudo and not manifests["pseudo"]:
        raise ValueError(f"arm {name!r} learns from pseudo labels: pass their manifests")
    rooms = _stores(manifests["scenes"], ("image",))
    known = _stores(manifests["labels"], ("features",)) if arm.geometry else None
    options = SamplesConfig(
        questions_per_sample=config.questions_per_sample,
        blank_images=arm.blank_images,
        label_stride=config.label_stride,
        keep_gib=config.keep_gib,
    )
    questions = _questions(name, arm, manifests["scenes"])
    asked = SceneDataset(rooms, questions, processor, known, options, seed)
    unasked = None
    if arm.pseudo:
        unlabelled = _stores(manifests["pseudo"], ("image", "features"))
        unasked = SceneDataset(unlabelled, [], processor, unlabelled, options, seed)
    elif not arm.text:
        unasked = asked
    stores = [known, *([unasked.scenes] if arm.pseudo else [])]
    return TrainingData(
        pools=Pools(asked, unasked),
        text=len(asked),
        spatial=0 if unasked is None else len(unasked.scenes),
        feature_channels=_feature_channels(name, stores) if arm.distill else None,
        digests={key: _digest(value) for key, value in manifests.items() if value},
    )


def _read(paths: Iterable[Path]) -> list[Manifest]:
    return [read_manifest(path) for path in paths]


def _stores(manifests: list[Manifest], variables: tuple[str, ...]) -> Scenes:
    return stack([read_store(manifest.find(".zarr"), variables) for manifest in manifests])


def _questions(name: str, arm: ArmConfig, manifests: list[Manifest]) -> list[Question]:
    """All questions beside the scenes; none where the arm asks none."""
    if not arm.text:
        return []
    found = [q for m in manifests for q in read_questions(m.find(".questions.jsonl"))]
    if not found:
        raise ValueError(f"arm {name!r} learns from answers, but its scenes have no questions")
    return found


def _feature_channels(name: str, stores: list[Scenes]) -> int:
    widths = {None if store.features is None else store.features.shape[-1] for store in stores}
    if None in widths or len(widths) > 1:
        raise ValueError(
            f"arm {name!r} distils a teacher's features, but its label stores have features of"
            f" widths {sorted(map(str, widths))}; choose a teacher with features, the same for"
            " labels and pseudo labels, or an arm with distill: false"
        )
    return widths.pop()


def _digest(manifests: list[Manifest]) -> str:
    """One digest of what all these manifests vouch for."""
    payloads = [f"{name}:{m.payload[name]}" for m in manifests for name in sorted(m.payload)]
    return digest_bytes("\n".join(payloads).encode())
