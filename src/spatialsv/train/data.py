"""The manifests of a training job as the pools of samples that its arm learns from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from spatialsv.io.digests import digest_bytes
from spatialsv.io.manifest import Manifest, digest_payloads, read_manifest
from spatialsv.samples.dataset import Pools, Sample, SamplesConfig, SceneDataset
from spatialsv.samples.sampler import SPATIAL, TEXT, BatchSampler, Draw
from spatialsv.samples.views import Encode, ViewProcessor
from spatialsv.scenes.question import Question, read_questions
from spatialsv.scenes.scene import DEPTH, SceneSet, find_invalid_value
from spatialsv.scenes.scene_list import SceneList
from spatialsv.scenes.store import SceneRef, open_store
from spatialsv.train.arm import ArmConfig
from spatialsv.train.config import TrainConfig

NO_WEIGHTS = (
    "Set train.losses.confidence_weights to false, or choose a teacher with a confidence above 1,"
    " such as DA3, VGGT or rooms."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """What one arm learns from, and what its heads must fit."""

    pools: Pools
    text: int  # samples with questions
    spatial: int  # samples of images only
    feature_channels: int | None  # the teacher's, where the arm learns from features
    digests: dict[str, str]  # of scenes, labels and pseudo labels
    teachers: tuple[dict[str, str], ...] = ()  # the `Scenes.provenance` of all labels
    images: dict[str, Any] = field(default_factory=dict)  # see `_describe_images`

    @property
    def view_sets(self) -> int:
        """Return the largest number of sets of views that are prepared for the model."""
        with_questions = self.pools.text.view_sets if self.pools.text and self.text else 0
        return with_questions + self.spatial

    @property
    def first(self) -> Sample:
        """Return one sample."""
        return self.pools[Draw(TEXT if self.text else SPATIAL, 0, 0)]

    def sampler(self, config: TrainConfig, batches: int, seed: int) -> BatchSampler:
        """Return the sampler of a run of so many `batches`, of all processes."""
        spatial_share = config.spatial_share if self.text else 1.0
        return BatchSampler(
            text=self.text,
            spatial=self.spatial,
            spatial_share=spatial_share if self.spatial else 0.0,
            batch_size=config.batch_size,
            batches=batches,
            seed=seed,
        )


def load_data(
    name: str,
    arm: ArmConfig,
    config: TrainConfig,
    processor: ViewProcessor,
    seed: int,
    scenes: Sequence[Path],
    labels: Sequence[Path],
    pseudo: Sequence[Path],
    encode: Encode | None = None,
    check_values: bool = True,
) -> TrainingData:
    """Open the data of an arm and check all of it, so that a mistake shows before the first step.

    Args:
        name: of the arm, for messages.
        arm: what it learns from.
        config: sizes.
        processor: the MLLM's.
        seed: of which questions are in one sample.
        scenes: manifests of scenes.
        labels: manifests of their labels.
        pseudo: manifests of pseudo-labelled scenes.
        encode: see `SceneViews`.
        check_values: read all labels and check that they can be used.

    Returns:
        Samples that are read when they are drawn.

    Raises:
        ValueError: no scenes, no questions, or labels that are required but missing, of other
            scenes, without features or not finite; the message names arm or file, and the remedy.
    """
    manifests = _read_manifests(name, arm, {"scenes": scenes, "labels": labels, "pseudo": pseudo})
    options = _samples_config(arm, config)
    true_labels, pseudo_labels = _open_all_labels(manifests, arm, options, check_values)
    with_questions, images_only = _split_shards(name, manifests["scenes"], manifests["pseudo"])
    dataset = partial(SceneDataset, processor=processor, config=options, seed=seed, encode=encode)
    ids = [scene for one in true_labels or () for scene in one.ids]
    without_geometry = set(ids) - nested_share(ids, arm.labels_share)
    questions = _read_questions(name, arm, [m for m, _ in with_questions]) if arm.text else []
    first_pool = SceneList(group for _, shard in with_questions for group in shard)
    if not arm.text:  # scenes without questions and geometry would be no use
        first_pool = first_pool.only(set(first_pool.ids) - without_geometry)
    text = dataset(first_pool, questions, labels=true_labels, unlabelled=without_geometry)
    spatial = None if arm.text else text
    if pseudo_labels is not None:
        images = _select([shard for _, shard in images_only], pseudo_labels.ids)
        spatial = dataset(images, [], labels=pseudo_labels)
    stores: list[SceneRef] = [*(true_labels or ()), *(pseudo_labels or ())]
    return TrainingData(
        pools=Pools(text, spatial),
        text=len(text),
        spatial=0 if spatial is None else len(spatial.scenes),
        feature_channels=_feature_channels(name, stores) if arm.features else None,
        digests={key: digest_payloads(found) for key, found in manifests.items() if found},
        teachers=_teachers(stores),
        images=_describe_images(chain(text.scenes, spatial.scenes if spatial else ())),
    )


def _read_manifests(
    name: str, arm: ArmConfig, paths: Mapping[str, Sequence[Path]]
) -> dict[str, list[Manifest]]:
    """Return the manifests of each kind that the arm reads; it must have been given some."""
    required = {"scenes": True, "labels": arm.labelled, "pseudo": arm.pseudo}
    for kind, is_required in required.items():
        if is_required and not paths[kind]:
            raise ValueError(f"Arm {name!r} learns from {kind}: pass the manifests of its {kind}.")
    return {
        kind: [read_manifest(path) for path in paths[kind]] if is_required else []
        for kind, is_required in required.items()
    }


def _open_all_labels(
    manifests: Mapping[str, list[Manifest]],
    arm: ArmConfig,
    options: SamplesConfig,
    check: bool,
) -> tuple[list[SceneRef] | None, SceneList[SceneRef] | None]:
    """Return the true labels and the pseudo labels; None for those that the arm does not read."""
    variables = [name for name in ("features", "confidence") if getattr(options, name)]
    labels = _open_labels(manifests["labels"], variables, check) if arm.labelled else None
    if not arm.pseudo:
        return labels, None
    return labels, _open_pseudo(manifests["pseudo"], arm.gated, variables, check)


def _samples_config(arm: ArmConfig, config: TrainConfig) -> SamplesConfig:
    return SamplesConfig(
        questions_per_sample=config.questions_per_sample,
        packed=config.packed,
        blank_images=arm.blank_images,
        label_stride=config.label_stride,
        label_size=config.label_size,
        cache_gib=config.cache_gib,
        gated=arm.gated,
        features=arm.features,
        confidence=config.losses.confidence_weights and bool(arm.tasks),
        shuffle_labels=arm.shuffle_labels,
        augment=arm.augment,
    )


def nested_share(ids: Iterable[str], share: float) -> set[str]:
    """Return `share` of the scenes `ids`, at least one; a larger share holds every smaller one.

    The choice depends only on the ids, not on their order or a seed.
    """
    order = sorted(set(ids), key=lambda name: digest_bytes(name.encode()))
    return set(order[: max(1, round(share * len(order)))])


def _open_labels(
    manifests: list[Manifest], variables: Sequence[str], check: bool
) -> list[SceneRef]:
    stores = [manifest.find(".zarr") for manifest in manifests]
    return [group for store in stores for group in _open_checked(store, variables, check)]


def _open_pseudo(
    manifests: list[Manifest], gated: bool, variables: Sequence[str], check: bool
) -> SceneList[SceneRef]:
    """Return the pseudo labels of the scenes that passed the gate or, if not gated, of all.

    Raises:
        ValueError: a manifest does not list the excluded scenes.
    """
    variables = variables if gated else (*variables, "reason")
    scenes = SceneList(_open_labels(manifests, variables, check))
    if old := [manifest.path for manifest in manifests if "excluded" not in manifest.about]:
        raise ValueError(f"{old[0]}: no list of excluded scenes. Force the pseudo stage.")
    rejected = [name for m in manifests for name in m.about["excluded"]] if gated else []
    return scenes.only(set(scenes.ids).difference(rejected))


def _open_checked(store: Path, variables: Sequence[str], check: bool) -> list[SceneRef]:
    groups = open_store(store)
    if "reason" in variables and not all(group.has("reason") for group in groups):
        raise ValueError(
            f"{store}: the gate's reasons are missing. Force the pseudo stage, or set gated: true."
        )
    if "confidence" in variables and not all(group.has("confidence") for group in groups):
        raise ValueError(f"{store}: these labels have no confidence. {NO_WEIGHTS}")
    scenes = SceneList(groups) if check else ()
    for one in scenes:
        loaded = one.load(*DEPTH, *variables)
        if error := find_invalid_value(loaded):
            raise ValueError(f"{store}: {error}. Make these labels again.")
        sure = loaded.confidence[loaded.valid] if "confidence" in variables else None
        if sure is not None and sure.size and sure.max() <= 1:
            raise ValueError(
                f"{store}: the teacher's confidence of scene {one.ids[0]!r} is nowhere above 1."
                f" {NO_WEIGHTS}"
            )
    return groups


Shards = list[tuple[Manifest, list[SceneRef]]]


def _split_shards(
    name: str, manifests: list[Manifest], pseudo: list[Manifest]
) -> tuple[Shards, Shards]:
    """Return the shards of scenes with questions, and those that pseudo labels were made from."""
    # By the stores' digests, since one id may be in several shards.
    digests = set()
    for manifest in pseudo:
        if not (stores := manifest.about.get("made_from", {}).get("scenes")):
            raise ValueError(
                f"{manifest.path}: the scenes of these pseudo labels are not recorded. Force the"
                " pseudo stage."
            )
        digests |= set(stores.values())
    with_questions: Shards = []
    images_only: Shards = []
    for manifest in manifests:
        shard = manifest, open_store(manifest.find(".zarr"))
        has_questions = digests.isdisjoint(manifest.payload.values())
        (with_questions if has_questions else images_only).append(shard)
    if not with_questions:
        raise ValueError(f"Arm {name!r}: all scenes are pseudo-labelled. Pass labelled ones too.")
    return with_questions, images_only


def _select(shards: list[list[SceneRef]], ids: Sequence[str]) -> SceneList[SceneRef]:
    """Return the scenes of `shards` with these ids."""
    scenes = SceneList(group for shard in shards for group in shard)
    available = set(scenes.ids)
    if missing := [name for name in ids if name not in available]:
        raise ValueError(
            f"{len(missing)} pseudo-labelled scenes have no images, such as {missing[0]!r}. Pass"
            " the manifests of the scenes that the pseudo labels were made from as well."
        )
    return scenes.only(set(ids))


def _read_questions(name: str, arm: ArmConfig, manifests: list[Manifest]) -> list[Question]:
    """Return the questions of these shards of scenes that the arm learns from."""
    questions = [q for m in manifests for q in read_questions(m.find(".questions.jsonl"))]
    found = {q.task for q in questions}
    if missing := [task for task in arm.questions if task not in found]:
        raise ValueError(
            f"arms.{name}.questions: no scene has questions of task {missing[0]!r}. Tasks of these"
            f" scenes: {', '.join(sorted(found)) or 'none'}."
        )
    if arm.questions:
        questions = [q for q in questions if q.task in arm.questions]
    if not questions:
        raise ValueError(f"Arm {name!r} learns from answers, but its scenes have no questions.")
    by_id: dict[str, Question] = {}
    if twice := next((q.id for q in questions if by_id.setdefault(q.id, q) != q), None):
        raise ValueError(f"Arm {name!r}: two different questions have the id {twice!r}.")
    return questions


def _feature_channels(name: str, stores: list[SceneRef]) -> int:
    widths = {s.variable_shape("features")[-1] for s in stores if s.has("features")}
    lacking = {"None" for s in stores if not s.has("features")}
    if lacking or len(widths) != 1:
        raise ValueError(
            f"Arm {name!r} distils a teacher's features, but its label stores have features of"
            f" widths {sorted({*map(str, widths), *lacking})}. Choose a teacher with features, the"
            " same for labels and pseudo labels, or an arm with distill: false and no relation."
        )
    return widths.pop()


def _teachers(stores: list[SceneRef]) -> tuple[dict[str, str], ...]:
    """Return the provenance of each teacher once, in the order of their names."""
    provenance = {tuple(store.provenance.items()) for store in stores}
    return tuple(dict(items) for items in sorted(provenance))


def _describe_images(scenes: Iterable[SceneSet]) -> dict[str, Any]:
    """Return the images' sources, and their height and width, None where they differ: for lift."""
    kinds = {(one.source, one.shape[1:]) for one in scenes}
    sizes = {size for _, size in kinds}
    size = list(sizes.pop()) if len(sizes) == 1 else None
    return {"sources": sorted({source for source, _ in kinds}), "size": size}
